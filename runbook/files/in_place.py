"""The bytes of an open file replaced in place, in an order whose every interruption can be recognised.

A single-file bind mount follows the inode, so the usual write-and-rename would leave a container with the old file.
In place, three things happen in this order, and putting back is the same three things towards the old bytes:

1. grow: the end of the goal is written behind what is there, so that a full disk is met before any byte is lost;
2. overwrite: from the first to the last byte that differs, the goal is written, and all of it read back;
3. cut: what is left over is cut off.
"""

import errno
import os

from runbook import platforms
from runbook.platforms import read_at, sync


def content_of(descriptor: int) -> bytes:
    """Everything in an open file, wherever it stands."""
    pieces: list[bytes] = []
    at = 0
    while piece := read_at(descriptor, os.fstat(descriptor).st_size - at, at):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


def grow(descriptor: int, goal: bytes) -> None:
    """Step 1: give the file the room that the goal needs. Raises OSError with no old byte touched."""
    size = os.fstat(descriptor).st_size
    if size < len(goal):
        write_at(descriptor, goal[size:], size)
        sync(descriptor)


def overwrite(descriptor: int, goal: bytes) -> None:
    """Steps 2 and 3: make the bytes that differ those of the goal. Raises OSError, also if it does not read back so."""
    found = content_of(descriptor)[: len(goal)]
    start, end = differing(found, goal)
    if start < end:
        write_at(descriptor, goal[start:end], start)
        sync(descriptor)
    if content_of(descriptor)[: len(goal)] != goal:
        raise OSError(errno.EIO, "what was read back is not what was written")
    os.ftruncate(descriptor, len(goal))
    sync(descriptor)


def restore(descriptor: int, before: bytes) -> None:
    """Put the old bytes back by the same steps; a file that holds them is not touched. Raises OSError."""
    if content_of(descriptor) != before:
        grow(descriptor, before)
        overwrite(descriptor, before)


def differing(one: bytes, two: bytes) -> tuple[int, int]:
    """From where to where two contents of one length differ; the two places are one if they do not."""
    start = _alike(one, two)
    return start, len(one) - _alike(one[start:][::-1], two[start:][::-1])


def write_at(descriptor: int, content: bytes, at: int) -> None:
    """Write all of it: the system may take less than it is given."""
    rest = memoryview(content)
    while rest:
        taken = platforms.write_at(descriptor, rest, at)
        rest, at = rest[taken:], at + taken


def is_torn(found: bytes, before: bytes, after: bytes) -> bool:
    """Whether `found` is what an interruption leaves of writing `after` over `before`, or of putting `before` back.

    Byte exact. Not yet grown in full: the shorter content is whole, and behind it the longer one's begins. Grown:
    the head is old up to some byte (put back), new up to another, and old to its end (not yet overwritten).
    """
    shorter, longer = sorted((before, after), key=len)
    both = len(shorter)
    if not both <= len(found) <= len(longer) or found[both:] != longer[both : len(found)]:
        return False
    head, old, new = found[:both], before[:both], after[:both]
    if len(found) < len(longer):
        return head == shorter
    start, end = differing(head, old)
    return head[start:end] == new[start:end]


def _alike(one: bytes, two: bytes) -> int:
    """Length of the common beginning of two contents of one length, by halving: comparing slices is fast."""
    low, high = 0, len(one)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
