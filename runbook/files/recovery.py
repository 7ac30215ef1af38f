"""What an interrupted `write_documents` left, put right at the start of the next command.

Only the file that was being written is ever written again: its path, device and inode are those of the entry, and its
content is explained by our own writing byte for byte. Anything else is left, and said so.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runbook.files.file_io import refused
from runbook.files.in_place import content_of, is_torn, restore
from runbook.files.journal import Entry, JournalledFile, abandoned
from runbook.platforms import NOFOLLOW, NONBLOCK, identity, opened

State = Literal["before", "after", "torn", "changed", "replaced", "gone"]
Outcome = Literal["undone", "completed", "left"]

_REASONS: dict[State, tuple[Outcome, str]] = {
    "before": ("undone", "it holds the old bytes"),
    "after": ("completed", "it holds the new bytes, and so do all files of that write"),
    "torn": ("undone", "the write was cut off; the old bytes are back"),
    "changed": ("left", "somebody else has changed the file since; it was not touched"),
    "replaced": ("left", "somebody else has replaced the file since; it was not touched"),
    "gone": ("left", "the file is not there any more"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of one file of an interrupted write: old bytes, new bytes, or left alone; and why.

    `holds` are its bytes now; None where it was left.
    """

    path: Path
    outcome: Outcome
    reason: str
    holds: bytes | None = None


def recover(journal: Path) -> tuple[Recovered, ...]:
    """Bring the files of every interrupted write into one state: all old, unless all are new already.

    To be called at the start of each command, before any file is read; nothing to do costs one listing. A write that
    is going on in another process is not touched. Where a file is left, because somebody else has changed or replaced
    it, the old and the new bytes are kept as files in a folder `.left`. Raises DocumentError if a file cannot be put
    right yet (a full disk, no permission), and RunbookError for a journal of another user; the entry then stays for
    the next command.
    """
    with refused(journal):
        return tuple(outcome for entry in abandoned(journal) for outcome in _recovered(entry))


def _recovered(entry: Entry) -> Iterator[Recovered]:
    """Decide for all files of one entry together, carry it out, and be done with the entry."""
    states = [_state(file) for file in entry.files]
    undo = "before" in states or "torn" in states
    outcomes = [_settled(file, state, undo=undo) for file, state in zip(entry.files, states, strict=True)]
    if outcomes and all(one.outcome != "left" for one in outcomes):
        entry.remove()
    else:
        kept = entry.put_aside()
        reason = f"old and new bytes are kept in {kept}" if outcomes else "this entry of the journal cannot be read"
        outcomes.append(Recovered(path=kept, outcome="left", reason=reason))
    yield from outcomes


def _state(file: JournalledFile) -> State:
    """What has become of the file that was being written."""
    with refused(file.change.path):
        try:
            with _opened(file, os.O_RDONLY) as descriptor:
                return _content_state(file, descriptor) if descriptor is not None else "replaced"
        except (FileNotFoundError, NotADirectoryError):
            return "gone"


def _content_state(file: JournalledFile, descriptor: int) -> State:
    found = content_of(descriptor)
    if found == file.change.before:
        return "before"
    if found == file.change.after:
        return "after"
    return "torn" if is_torn(found, file.change.before, file.change.after) else "changed"


def _settled(file: JournalledFile, state: State, *, undo: bool) -> Recovered:
    """Do what there is to do for one file."""
    if state == "torn" or (state == "after" and undo):
        state = _undone(file)
    outcome, reason = _REASONS[state]
    holds = {"undone": file.change.before, "completed": file.change.after}.get(outcome)
    return Recovered(path=file.change.path, outcome=outcome, reason=reason, holds=holds)


def _undone(file: JournalledFile) -> State:
    """Put the old bytes back; it is looked at once more as it is opened for that."""
    with refused(file.change.path), _opened(file, os.O_RDWR) as descriptor:
        if descriptor is None:
            return "replaced"
        if _content_state(file, descriptor) == "changed":
            return "changed"
        restore(descriptor, file.change.before)
        return "torn"


@contextmanager
def _opened(file: JournalledFile, how: int) -> Iterator[int | None]:
    """Open the very file of an entry: None if its path leads elsewhere by now, be it by a link. Raises OSError.

    What lies there now is not opened before its identity is known: it may be a pipe, or not ours to read.
    """
    path = file.change.path
    if os.path.realpath(path) != str(path) or not _is_recorded(file, path.lstat()):
        yield None
        return
    descriptor = opened(path, how | NOFOLLOW | NONBLOCK)
    try:
        yield descriptor if _is_recorded(file, os.fstat(descriptor)) else None
    finally:
        os.close(descriptor)


def _is_recorded(file: JournalledFile, found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and identity(found) == (file.device, file.inode)
