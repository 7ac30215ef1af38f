"""Which run a rollback takes back: the newest on the target that really changed the files, and is not undone.

A run says before it writes what it will write, so its announcement alone proves nothing: the write may have failed, may
have been cut off by a kill and settled by the next command, may have been put back by the run itself, by a rollback
since, or by hand. The record decides where it can, else what the files hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from runbook.commands.apply.steps import RECOVERED
from runbook.runs.run_log import REPLACES, RunEvent

UNDOES: Final = "undoes"
"""Kind of the event that a rollback records before it writes: it puts back all since the run `run` began (`since`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hashes:
    """The SHA-256 of a file before and after a write."""

    before: str
    after: str


class StandingChange:
    """Says of each run of a target, from the newest to the oldest, whether it is the one to take back."""

    def __init__(self, digest_of: Callable[[Path], str]) -> None:
        """Take what gives the SHA-256 of a file as it is now; empty if it cannot be read."""
        self._digest_of = digest_of
        self._recovered: dict[str, str] = {}
        self._undone_since: dict[str, datetime] = {}
        self.is_any_undone = False

    def __call__(self, events: Sequence[RunEvent]) -> bool:
        """Whether the change of the run of these events stands; what a rollback wrote is taken back only on request."""
        stands = self._stands(events)
        for event in events:
            if event.kind == RECOVERED and not self._is_undone(event.data["file"], events):
                self._recovered[event.data["file"]] = event.data["holds"]
        return stands

    def _stands(self, events: Sequence[RunEvent]) -> bool:
        announced = {
            event.data["file"]: _Hashes(before=event.data["before"], after=event.data["after"])
            for event in events
            if event.kind == REPLACES
        }
        files = {file: hashes for file, hashes in announced.items() if not self._is_undone(file, events)}
        took_effect = bool(files) and self._took_effect(files, events)
        if took_effect and events[0].data.get("task") == "rollback":
            self._note_undone(files, events)
            return False
        stands = took_effect and any(self._digest_of(Path(file)) != one.before for file, one in files.items())
        self.is_any_undone |= bool(announced) and not stands and not _has_failed(events)
        return stands

    def _is_undone(self, file: str, events: Sequence[RunEvent]) -> bool:
        """Whether a later rollback has taken back what a run made of a file."""
        return file in self._undone_since and events[0].at >= self._undone_since[file]

    def _note_undone(self, files: Mapping[str, _Hashes], events: Sequence[RunEvent]) -> None:
        """A rollback that stands has taken back every change of its files since the run that it names."""
        for event in events:
            if event.kind == UNDOES:
                self._undone_since |= dict.fromkeys(files, datetime.fromisoformat(event.data["since"]))

    def _took_effect(self, files: Mapping[str, _Hashes], events: Sequence[RunEvent]) -> bool:
        """Whether a file held its new bytes when the run had ended, and had been recovered from if need be."""
        outcomes = _outcomes(events)
        if outcomes.get("put back") == "rolled_back":
            return False
        known = {file: self._recovered[file] for file in files if file in self._recovered}
        if outcomes.get("write") == "changed" and "put back" not in outcomes:
            return not all(known.get(file) == hashes.before for file, hashes in files.items())
        return any((known.get(file) or self._digest_of(Path(file))) == hashes.after for file, hashes in files.items())


def _has_failed(events: Sequence[RunEvent]) -> bool:
    return _outcomes(events).get("write") == "failed"


def _outcomes(events: Sequence[RunEvent]) -> dict[str, str]:
    """What each step of a run came to."""
    return {event.data["step"]: event.data["outcome"] for event in events if event.kind == "step"}
