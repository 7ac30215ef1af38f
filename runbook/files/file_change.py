"""One change of one file, from plan to proof: what the plan prints, the writer writes, the undo reverses."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from runbook.files.diff import lines_of, unified

Kind = Literal["dashboard", "rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """The bytes of a file before and after, why, and what the operator should know besides (`notes`).

    `kind` is what the file holds, and so which service reads it; None if none does.
    """

    path: Path
    before: bytes
    after: bytes
    kind: Kind | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether writing it would change no byte."""
        return self.before == self.after

    def diff(self) -> str:
        """Unified diff as `patch` reads it, line ends and byte order mark as they are; empty without a change."""
        return unified(lines_of(self.before), lines_of(self.after), str(self.path))

    def reversed(self) -> "FileChange":
        """The change that undoes this one."""
        return replace(self, before=self.after, after=self.before, reason="put back", notes=())
