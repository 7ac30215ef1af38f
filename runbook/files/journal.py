"""A journal of writes: old and new bytes are on the disk before the first byte of any file is overwritten.

An entry is one file. It appears under its name only when it is whole (written aside, then renamed), and its writer
holds a lock on it that the kernel drops with the process: an entry that nobody holds was left by a crash.
"""

import hashlib
import os
import secrets
import stat
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from runbook.errors import DocumentError
from runbook.files.file_change import FileChange
from runbook.files.in_place import content_of, write_at
from runbook.locks import is_held
from runbook.platforms import (
    NOFOLLOW,
    REMOVED,
    folder_lock,
    lists_locks,
    lock,
    opened,
    remove,
    restrict,
    sync,
    sync_folder,
    try_lock,
)
from runbook.private_paths import private_file, private_folder, refuse_foreign

_WHOLE, _BEGUN, _LEFT = ".entry", ".tmp", ".left"
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalledFile:
    """One change of an entry, its path without links, and which file that was (device, inode)."""

    change: FileChange
    device: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry under its name, with the files of its write; `files` is empty if it cannot be read."""

    path: Path
    files: tuple[JournalledFile, ...]

    def remove(self) -> None:
        """Forget the entry: its files are whole. Raises OSError, then it stays."""
        with suppress(FileNotFoundError):
            remove(self.path)
        with suppress(OSError):  # an entry that a power cut brings back finds its files whole
            sync_folder(self.path.parent)

    def put_aside(self) -> Path:
        """Keep old and new bytes of every file, as files, where recovery does not look; return that folder.

        They are named by number and file, `.before` and `.after`; an entry that cannot be read is kept as it is.
        Raises OSError, then the entry stays.
        """
        kept = self.path.with_suffix(_LEFT)
        private_folder(kept)
        for number, file in enumerate(self.files, start=1):
            for version, content in (("before", file.change.before), ("after", file.change.after)):
                _write_file(kept / f"{number}-{file.change.path.name}.{version}", content)
        if self.files:
            self.remove()
        else:
            self.path.rename(kept / self.path.name)
        sync_folder(kept)
        sync_folder(kept.parent)
        return kept


@contextmanager
def entered(folder: Path, files: Sequence[JournalledFile]) -> Iterator[Entry]:
    """Put an entry on the disk, and hold it for as long as the block lasts.

    Raises OSError, and RunbookError for a folder of another user, with nothing left behind.
    """
    _make(folder)
    begun = folder / f"{secrets.token_hex(8)}{_BEGUN}"
    with folder_lock(folder):  # a new entry has no lock yet
        descriptor = opened(begun, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        lock(descriptor)
    try:
        try:
            restrict(descriptor, _OWNER_ONLY)  # the umask may have taken even our own rights
            write_at(descriptor, _written(files), 0)
            sync(descriptor)
            entry = Entry(path=begun.with_suffix(_WHOLE), files=tuple(files))
            begun.rename(entry.path)
            sync_folder(folder)
        except BaseException:
            for path in (begun, begun.with_suffix(_WHOLE)):
                with suppress(FileNotFoundError):
                    remove(path)
            raise
        yield entry
    finally:
        os.close(descriptor)


def abandoned(folder: Path) -> Iterator[Entry]:
    """The entries that a crash left, oldest name first, each held while it is looked at.

    One that was not whole yet is removed: no file had been touched. Raises OSError, RunbookError for a folder or an
    entry of another user, and DocumentError for an entry that is no file of its own.
    """
    if not folder.is_dir():
        return
    private_folder(folder)
    with folder_lock(folder):
        for path in folder.glob(f"*{_BEGUN}"):
            with _opened(path) as descriptor:
                if try_lock(descriptor):
                    remove(path)
        for path in folder.glob(f"*{REMOVED}"):
            with suppress(OSError):  # it is open somewhere, and goes with that
                path.unlink()
    for path in sorted(folder.glob(f"*{_WHOLE}")):
        with suppress(FileNotFoundError), _opened(path) as descriptor:
            with folder_lock(folder):  # who only looks may hold it for a moment
                is_ours = try_lock(descriptor)
            if is_ours and path.exists():
                yield Entry(path=path, files=_read(descriptor))


def unfinished(folder: Path) -> tuple[Path, ...]:
    """The entries that nobody holds now, for who only looks: nothing is removed or read.

    Nothing is locked either, but where the system does not list locks: there, for a moment in which nobody else looks.
    """
    if not (found := sorted(folder.glob(f"*{_WHOLE}"))):
        return ()
    free = []
    with nullcontext() if lists_locks() else folder_lock(folder):
        for path in found:
            with suppress(FileNotFoundError):
                free += [] if is_held(path) else [path]
    return tuple(free)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open an entry, which only its owner may read from now on. Raises OSError, RunbookError, DocumentError."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise DocumentError(
            "this entry of the journal is a link or not a regular file; it was not read",
            where=str(path),
            fix="find out who put it there, and move it away; the files that are edited may be half written",
        )
    refuse_foreign(path)
    if stat.S_IMODE(found.st_mode) != _OWNER_ONLY:
        path.chmod(_OWNER_ONLY)
    descriptor = opened(path, os.O_RDONLY | NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _written(files: Sequence[JournalledFile]) -> bytes:
    """An entry as it is kept: the hash of its content, then the content."""
    body = msgspec.json.encode(tuple(files), enc_hook=_path_as_bytes)
    return hashlib.sha256(body).hexdigest().encode("ascii") + b"\n" + body


def _read(descriptor: int) -> tuple[JournalledFile, ...]:
    """What an entry says; nothing if a byte of it was altered."""
    sha256, _, body = content_of(descriptor).partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode("ascii") != sha256:
        return ()
    try:
        return msgspec.json.decode(body, type=tuple[JournalledFile, ...], dec_hook=_path_from_bytes)
    except msgspec.DecodeError:
        return ()


def _path_as_bytes(path: Any) -> bytes:  # noqa: ANN401 - msgspec's own signature
    """A path is kept as bytes: it need not be UTF-8."""
    return os.fsencode(path)


def _path_from_bytes(_kind: type, written: Any) -> Path:  # noqa: ANN401 - msgspec's own signature
    return Path(os.fsdecode(b64decode(written)))


def _write_file(path: Path, content: bytes) -> None:
    with private_file(path, os.O_TRUNC) as descriptor:
        write_at(descriptor, content, 0)
        sync(descriptor)


def _make(folder: Path) -> None:
    """Make the folder, its missing parents too, or take the rights of others from it."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        private_folder(path)
        sync_folder(path.parent)
    private_folder(folder)
