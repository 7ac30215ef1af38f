"""A planned change of one file: the very object that a dry run prints and that apply writes."""

from dataclasses import dataclass
from typing import Literal

from runbook.files.diff import lines_of, unified

Kind = Literal["dashboard", "rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The bytes of a file before and after, why, and what the operator should know besides (`notes`).

    `kind` is what the file holds, and so who reads it.
    """

    kind: Kind
    source: str
    before: bytes
    after: bytes
    reason: str
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether applying the plan changes a byte."""
        return self.before != self.after

    def diff(self) -> str:
        """Unified diff as `patch` reads it, line ends and byte order mark as they are; empty without a change."""
        return unified(lines_of(self.before), lines_of(self.after), self.source)
