"""The files of a stack that differ from what `stack.up` wrote: kept before its folder is removed, and named.

`stack.up` notes the SHA-256 of each file that it has written into the folder. What differs at the end was written by
setup, and then the backups of that run hold it; else somebody corrected it, and it is copied to `.runbook/kept/`.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from runbook.errors import RunbookError
from runbook.model import Evidence
from runbook.private_paths import private_file, private_folder
from runbook.runs.run_files import write_all
from runbook.runs.run_history import all_runs
from runbook.runs.run_log import digest
from runbook.systems.processes.launcher import write_private
from runbook.wording import pasteable

_NOTES: Final = "written.json"
_FOLDERS: Final = ("monitoring", "target.toml")
_SECRETS: Final = ".env"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A file that differs from what `stack.up` wrote, where its content is kept, and by whom: the id of a run or ""."""

    path: Path
    copy: Path
    run_id: str

    def __str__(self) -> str:
        """Return the line that names it."""
        by = f"is as run {self.run_id} wrote it" if self.run_id else "differs from what stack.up and setup wrote"
        return f"{pasteable(self.path)} {by}; kept as {pasteable(self.copy)}"

    @property
    def evidence(self) -> Evidence:
        """The same for the record and the document."""
        return Evidence(source=pasteable(self.path), saw=str(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class StackEnd:
    """What the end of a stack found: whether anything of it was there, and the files that were kept."""

    has_run: bool
    kept: tuple[KeptFile, ...] = ()


def note_written(folder: Path, *paths: Path) -> None:
    """Note what `stack.up` has written: these files, and all those in these folders."""
    noted = {str(path.relative_to(folder)): digest(path.read_bytes()) for path in _files(paths)}
    write_private(folder / _NOTES, msgspec.json.encode({**_noted(folder), **noted}))


def keep_changed(folder: Path, state_dir: Path, paths: Iterable[Path] = ()) -> tuple[KeptFile, ...]:
    """Keep what differs from the notes: of the stack's own files, or of `paths` alone. Raises RunbookError.

    A file that is not noted was added by somebody. Passwords (`.env`) are never copied.
    """
    noted = _noted(folder)
    found: list[tuple[Path, bytes]] = []
    for path in _files(paths or (folder / name for name in _FOLDERS)):
        content = _read(path)
        if digest(content) != noted.get(str(path.relative_to(folder))):
            found.append((path, content))
    kept = state_dir / "kept" / f"{folder.name.lstrip('.')}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    return tuple(_kept(path, content, state_dir, kept / path.relative_to(folder)) for path, content in found)


def _kept(path: Path, content: bytes, state_dir: Path, copy: Path) -> KeptFile:
    """Find the copy that a run has made, or make one."""
    for run_log in reversed(all_runs(state_dir)):
        backup = run_log.copy_of(path, digest(content))
        if backup is not None:
            return KeptFile(path=path, copy=backup, run_id=run_log.run_id)
    try:
        private_folder(state_dir)
        private_folder(state_dir / "kept")
        private_folder(copy.parent)
        with private_file(copy, os.O_EXCL) as descriptor:
            write_all(descriptor, content)
    except OSError as error:
        raise RunbookError(
            f"{path.name} was changed, and cannot be kept before the stack's folder is removed: {error.strerror}",
            where=pasteable(copy),
            fix=f"make room, or copy {pasteable(path)} yourself and remove it; then again",
        ) from None
    return KeptFile(path=path, copy=copy, run_id="")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunbookError(
            f"{path.name} cannot be read, so it is not known whether somebody changed it: {error.strerror}",
            where=pasteable(path),
            fix="run the command as the user who may read it, or remove the file; then again",
        ) from None


def _files(paths: Iterable[Path]) -> list[Path]:
    """Return the files among some paths and below them; links are left out."""
    every = [one for path in paths for one in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return [one for one in every if one.is_file() and not one.is_symlink() and one.name != _SECRETS]


def _noted(folder: Path) -> Mapping[str, str]:
    try:
        return msgspec.json.decode((folder / _NOTES).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}
