"""How far a run's record goes: its number of lines and the hash of the last one, in a file of its own.

Without it a record that lost its last lines would look like a run that did less. It is written after the line is on
the disk and never before: a kill between the two leaves a record that is longer than its head says, which is fine,
and never a shorter one. Two heads take turns in two places of the file: where one is half written, by a kill or for a
reader beside the writer, the other one is whole.
"""

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runbook.platforms import sync
from runbook.private_paths import private_file

HEAD_FILE: Final = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHead:
    """The end of a record: how many lines it has, and the hash that closes the last of them."""

    lines: int
    hash: str


START: Final = RunHead(lines=0, hash="0" * 64)
"""The end of a record without a line; the hash of its first line continues this one."""


def write_head(folder: Path, head: RunHead, *, durable: bool) -> None:
    """Write the head of a run over the one before the last: of the same length, so that a full disk does not stop it.

    Not `durable`, it is not waited for: after a power failure an older head may stand there, which is no damage.
    Raises OSError; nobody then takes what was written for a head.
    """
    text = _text(head)
    with private_file(folder / HEAD_FILE, 0) as descriptor:
        os.lseek(descriptor, head.lines % 2 * len(text), os.SEEK_SET)
        if os.write(descriptor, text) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            with suppress(OSError):  # the line that it tells of is on the disk
                sync(descriptor)


def read_head(folder: Path) -> RunHead | None:
    """Return the head of a run. None if there is none, or none that can be relied on. Raises OSError."""
    try:
        content = (folder / HEAD_FILE).read_bytes()
    except FileNotFoundError:
        return None
    size = len(_text(START))
    heads = [head for place in (0, size) if (head := _parsed(content[place : place + size]))]
    return max(heads, key=lambda head: head.lines, default=None)


def _text(head: RunHead) -> bytes:
    text = f"{head.lines:012d} {head.hash}"
    check = hashlib.sha256(text.encode("ascii")).hexdigest()[:8]
    return f"{text} {check}\n".encode("ascii")


def _parsed(content: bytes) -> RunHead | None:
    try:
        lines, last, _check = content.decode("ascii").split()
        head = RunHead(lines=int(lines), hash=last)
    except ValueError:
        return None
    return head if _text(head) == content else None
