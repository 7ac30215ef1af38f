"""What an interrupted `write_documents` left, put right at the start of the next command.

Only what our own writing explains byte for byte is ever written again; a stranger's content is left, and said so.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runbook.files.file_io import refused
from runbook.files.in_place import content_of, is_torn, restore
from runbook.files.journal import Entry, Intent, abandoned

State = Literal["before", "after", "torn", "foreign", "gone"]
Outcome = Literal["undone", "completed", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of one file of an interrupted write: old bytes, new bytes, or left alone; and why."""

    path: Path
    outcome: Outcome
    reason: str


def recover(journal: Path) -> tuple[Recovered, ...]:
    """Bring the files of every interrupted write into one state: all old, unless all are new already.

    To be called at the start of each command, before any file is read; nothing to do costs one listing. A write that
    is going on in another process is not touched. Where a file is left, because somebody else has changed or replaced
    it, the old and the new bytes are kept as files in a folder `.left`. Raises DocumentError if a file cannot be put
    right yet (a full disk, no permission); the entry then stays for the next command.
    """
    with refused(journal):
        return tuple(outcome for entry in abandoned(journal) for outcome in _recovered(entry))


def _recovered(entry: Entry) -> Iterator[Recovered]:
    """Decide for all files of one entry together, carry it out, and be done with the entry."""
    states = [_state(intent) for intent in entry.intents]
    undo = "before" in states or "torn" in states
    outcomes = [_settled(intent, state, undo=undo) for intent, state in zip(entry.intents, states, strict=True)]
    if outcomes and all(one.outcome != "left" for one in outcomes):
        entry.remove()
    else:
        kept = entry.put_aside()
        reason = f"old and new bytes are kept in {kept}" if outcomes else "this entry of the journal cannot be read"
        outcomes.append(Recovered(path=kept, outcome="left", reason=reason))
    yield from outcomes


def _state(intent: Intent) -> State:
    """What the path of an intent holds now."""
    with refused(intent.path):
        try:
            found = intent.path.read_bytes()
        except FileNotFoundError:
            return "gone"
    if found == intent.before:
        return "before"
    if found == intent.after:
        return "after"
    return "torn" if is_torn(found, intent.before, intent.after) else "foreign"


def _settled(intent: Intent, state: State, *, undo: bool) -> Recovered:
    """Do what there is to do for one file."""
    reasons: dict[State, tuple[Outcome, str]] = {
        "gone": ("left", "the file is not there any more"),
        "foreign": ("left", "somebody else has changed the file since; it was not touched"),
        "before": ("undone", "the old bytes were never touched, or back already"),
        "after": ("completed", "the new bytes are complete, here and in all files of that write"),
    }
    if state == "torn" or (state == "after" and undo):
        return _undone(intent)
    outcome, reason = reasons[state]
    return Recovered(path=intent.path, outcome=outcome, reason=reason)


def _undone(intent: Intent) -> Recovered:
    """Put the old bytes back into the very file that was being written, into no other."""
    with refused(intent.path):
        descriptor = os.open(intent.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            is_ours = (found.st_dev, found.st_ino) == (intent.device, intent.inode)
            if not (is_ours and is_torn(content_of(descriptor), intent.before, intent.after)):
                reason = "somebody else has replaced the file since; it was not touched"
                return Recovered(path=intent.path, outcome="left", reason=reason)
            restore(descriptor, intent.before)
        finally:
            os.close(descriptor)
    return Recovered(path=intent.path, outcome="undone", reason="the write was cut off; the old bytes are back")
