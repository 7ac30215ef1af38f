"""A journal of intent: what is about to be written is on the disk before the first byte of any file is overwritten.

An entry is one file. It appears under its name only when it is whole (written aside, then renamed), and its writer
holds a lock on it that the kernel drops with the process: an entry that nobody holds was left by a crash.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

import msgspec

from runbook.files.in_place import write_at
from runbook.locks import holder

_WHOLE, _BEGUN, _LEFT = ".entry", ".tmp", ".left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One file of an entry: where it is, which file that was (device, inode), its bytes before and after."""

    raw_path: bytes
    device: int
    inode: int
    before: bytes
    after: bytes
    before_sha256: str = ""
    after_sha256: str = ""

    @property
    def path(self) -> Path:
        """The path; kept as bytes because it need not be UTF-8."""
        return Path(os.fsdecode(self.raw_path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry under its name, with what it intends; `intents` is empty if it cannot be read."""

    path: Path
    intents: tuple[Intent, ...]

    def remove(self) -> None:
        """Forget the entry: its files are whole. Raises OSError, then it stays."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # an entry that a power cut brings back finds its files whole
            _sync_folder(self.path.parent)

    def put_aside(self) -> Path:
        """Keep old and new bytes of every file, as files, where recovery looks no more; return that folder.

        They are named by number and file, `.before` and `.after`; an entry that cannot be read is kept as it is.
        Raises OSError, then the entry stays.
        """
        kept = self.path.with_suffix(_LEFT)
        kept.mkdir(mode=0o700, exist_ok=True)
        for number, intent in enumerate(self.intents, start=1):
            for version, content in (("before", intent.before), ("after", intent.after)):
                _write_file(kept / f"{number}-{intent.path.name}.{version}", content)
        if self.intents:
            self.remove()
        else:
            self.path.rename(kept / self.path.name)
        _sync_folder(kept)
        _sync_folder(kept.parent)
        return kept


@contextmanager
def entered(folder: Path, intents: Sequence[Intent]) -> Iterator[Entry]:
    """Put an entry on the disk, and hold it for as long as the block lasts. Raises OSError with nothing left behind."""
    _make(folder)
    with _still(folder):
        descriptor, name = mkstemp(suffix=_BEGUN, dir=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    begun = Path(name)
    try:
        sealed = tuple(_sealed(intent) for intent in intents)
        try:
            write_at(descriptor, msgspec.json.encode(sealed), 0)
            os.fsync(descriptor)
            entry = Entry(path=begun.with_suffix(_WHOLE), intents=sealed)
            begun.rename(entry.path)
            _sync_folder(folder)
        except BaseException:
            begun.unlink(missing_ok=True)
            begun.with_suffix(_WHOLE).unlink(missing_ok=True)
            raise
        yield entry
    finally:
        os.close(descriptor)


def abandoned(folder: Path) -> Iterator[Entry]:
    """The entries that a crash left, oldest name first, each held while it is looked at.

    One that was not whole yet is removed: no file had been touched. Raises OSError.
    """
    if not folder.is_dir():
        return
    with _still(folder):
        for path in folder.glob(f"*{_BEGUN}"):
            with path.open("rb") as file:
                if _is_free(file):
                    path.unlink(missing_ok=True)
    for path in sorted(folder.glob(f"*{_WHOLE}")):
        with suppress(FileNotFoundError), path.open("rb") as file:
            if _is_free(file) and path.exists():
                yield Entry(path=path, intents=_intents(file.read()))


def unfinished(folder: Path) -> tuple[Path, ...]:
    """The entries that nobody holds now, for who only looks: nothing is locked, removed or read."""
    found = []
    for path in folder.glob(f"*{_WHOLE}"):
        with suppress(FileNotFoundError):
            found += [] if holder(path) else [path]
    return tuple(sorted(found))


@contextmanager
def _still(folder: Path) -> Iterator[None]:
    """Hold the folder for the moment in which a new entry has no lock yet."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_free(file: BinaryIO) -> bool:
    """Whether nobody else holds an entry; from now on we do, until the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _intents(content: bytes) -> tuple[Intent, ...]:
    """What an entry says; nothing if its bytes were altered."""
    try:
        found = msgspec.json.decode(content, type=tuple[Intent, ...])
    except msgspec.DecodeError:
        return ()
    return found if all(_sealed(intent) == intent for intent in found) else ()


def _sealed(intent: Intent) -> Intent:
    """The intent with the hashes of its bytes."""
    before, after = (hashlib.sha256(content).hexdigest() for content in (intent.before, intent.after))
    return replace(intent, before_sha256=before, after_sha256=after)


def _write_file(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_at(descriptor, content, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make a new, renamed or removed name last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
