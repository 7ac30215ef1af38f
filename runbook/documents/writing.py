"""Read and write a file in place: the same inode, and old bytes that can always come back.

A single-file bind mount follows the inode, so the usual write-and-rename would leave a container with the old
file. Written in place, the disk must not run full half-way: the file first grows by what it will need, and
only then is a byte of it overwritten.
"""

import errno
import os
import stat
from io import FileIO
from pathlib import Path

from runbook.errors import DocumentError

LIMIT_BYTES = 50 * 1024 * 1024


def read_document(path: Path) -> bytes:
    """The bytes of a file; raises DocumentError if it is missing, no regular file, unreadable or over 50 MB."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DocumentError("this is no regular file", where=str(path), fix="give the path of the file itself")
        if found.st_size > LIMIT_BYTES:
            raise DocumentError(
                f"the file has {found.st_size} bytes, more than {LIMIT_BYTES}",
                where=str(path),
                fix="give the dashboard or rules file; none is that large",
            )
        return path.read_bytes()
    except OSError as error:
        raise _refusal(path, error) from None


def write_document(path: Path, before: bytes, after: bytes) -> None:
    """Turn the bytes `before` of a file into `after`, or leave it as it was.

    Symbolic links are followed. Raises DocumentError if the file holds anything but `before` (somebody else
    changed it), if it cannot be written, and if writing fails half-way, after `before` has been put back. Also
    an interruption (Ctrl-C) puts `before` back first.
    """
    try:
        with path.open("r+b", buffering=0) as file:
            if file.read() != before:
                raise DocumentError(
                    "the file was changed by somebody else since it was read; nothing was written",
                    where=str(path),
                    fix="run the command again: it plans anew from the file as it is now",
                )
            _reserve(file, before, after)
            _overwrite(file, path, before, after)
    except OSError as error:
        raise _refusal(path, error) from None


def _reserve(file: FileIO, before: bytes, after: bytes) -> None:
    """Grow the file to its new length, by the real end of `after`; if that fails, cut it back: old bytes stand."""
    try:
        file.seek(len(before))
        _write(file, after[len(before) :])
        os.fsync(file.fileno())
    except BaseException:
        file.truncate(len(before))
        raise


def _overwrite(file: FileIO, path: Path, before: bytes, after: bytes) -> None:
    """Write what lies within the old length and read everything back; cut what is left over only then."""
    try:
        file.seek(0)
        _write(file, after[: len(before)])
        os.fsync(file.fileno())
        _read_back(file, after)
        file.truncate(len(after))
        os.fsync(file.fileno())
    except BaseException as error:
        _restore(file, path, before, error)
        raise


def _read_back(file: FileIO, written: bytes) -> None:
    file.seek(0)
    if file.read(len(written)) != written:
        raise OSError(errno.EIO, "what was read back is not what was written")


def _restore(file: FileIO, path: Path, before: bytes, cause: BaseException) -> None:
    """Put back the bytes that were overwritten so far; raises DocumentError if even that fails."""
    try:
        reached = file.tell()
        file.seek(0)
        _write(file, before[:reached])
        file.truncate(len(before))
        os.fsync(file.fileno())
    except OSError as error:
        raise DocumentError(
            f"writing failed ({cause}), and the old bytes could not be put back ({error}): THE FILE IS DAMAGED",
            where=str(path),
            fix="make room or repair the disk, then inv rollback",
        ) from cause


def _write(file: FileIO, content: bytes) -> None:
    """Write all of it: a raw file may take less than it is given."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _refusal(path: Path, error: OSError) -> DocumentError:
    """The operating system's refusal in the operator's words; the file holds what it held before."""
    fixes = {
        errno.ENOENT: "check the path, or set --monitoring-dir",
        errno.EACCES: "run as the user who owns the file, or give yourself write permission",
        errno.EPERM: "run as the user who owns the file, or give yourself write permission",
        errno.EROFS: "run on the host where the file is writable: a container sees it read-only",
        errno.EISDIR: "give the path of the file itself",
        errno.ENOSPC: "make room on the disk, then run the command again",
    }
    seen = f"{error.strerror}; the file is as it was"
    fix = fixes.get(error.errno or 0, "remove the cause, then run the command again")
    return DocumentError(seen, where=str(path), fix=fix)
