"""A planned change of one file: the very object that a dry run prints and that apply writes."""

import io
from dataclasses import dataclass

from runbook.documents.diff import unified


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The bytes of a file before and after, why, and what the operator should know besides (`notes`)."""

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
        return unified(_lines(self.before), _lines(self.after), self.source)


def _lines(raw: bytes) -> list[str]:
    """Lines that end at LF only: str.splitlines() would also split at characters inside JSON strings."""
    return [line.decode(errors="backslashreplace") for line in io.BytesIO(raw)]
