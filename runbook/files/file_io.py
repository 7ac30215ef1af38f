"""Read and write files in place, all of them or none: whatever ends the writer, the old bytes can always come back.

`write_documents` keeps a journal while it works; what a kill leaves, `recovery` puts right at the start of the next
command. How the bytes of one file are replaced: see `in_place`.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runbook.errors import DocumentError
from runbook.files.file_change import FileChange
from runbook.files.in_place import content_of, grow, is_torn, overwrite, restore
from runbook.files.journal import JournalledFile, entered
from runbook.invocation import inv
from runbook.platforms import identity, opened
from runbook.wording import pasteable

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
LIMIT_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenFile:
    """A file that is open for writing and holds the `before` of its change."""

    descriptor: int
    change: FileChange

    @property
    def journalled(self) -> JournalledFile:
        """What the journal keeps of it; the path is that of the file itself, links followed."""
        device, inode = identity(os.fstat(self.descriptor))
        path = self.change.path.resolve()
        change = replace(self.change, path=path, reason="", notes=())
        return JournalledFile(change=change, device=device, inode=inode)


def read_document(path: Path) -> bytes:
    """The bytes of a file; raises DocumentError if it is missing, no regular file, unreadable or over 50 MB."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            seen = f"this is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no file')}, not a regular file"
            raise DocumentError(seen, where=pasteable(path), fix="give the path of the file itself")
        if found.st_size > LIMIT_BYTES:
            raise DocumentError(
                f"the file has {found.st_size} bytes, more than {LIMIT_BYTES}",
                where=pasteable(path),
                fix="give the path of the dashboard or of the rules file; neither is that large",
            )
        return path.read_bytes()
    except OSError as error:
        raise _refusal(path, error, may="read") from None


def refuse_unwritable(path: Path) -> None:
    """Raise DocumentError if a file may not be written; it is opened for that, and nothing else."""
    with refused(path):
        os.close(opened(path, os.O_WRONLY))


def write_documents(changes: Sequence[FileChange], *, journal: Path) -> tuple[str, ...]:
    """Write all files or none, each in place; return what the operator should know (a symbolic link was followed).

    Before the first byte of any file changes, an entry in the folder `journal` holds old and new bytes of all of them;
    it goes when all are written and read back. Raises DocumentError if a file does not hold its `before` (somebody
    else changed it), cannot be written, or is replaced meanwhile: then every file is as it was. So it is after an
    interruption (Ctrl-C). Only if not even the old bytes can be written does the error say that a file is damaged; the
    entry then stays for `recover`, as it does after a kill.
    """
    if not changes:
        return ()
    with ExitStack() as stack:
        files = [stack.enter_context(_opened(change)) for change in changes]
        _refuse_one_file_twice(files)
        with refused(journal):
            entry = stack.enter_context(entered(journal, [file.journalled for file in files]))
        _all_or_none(files, finished=entry.remove, then=f"the next command puts it right by {pasteable(entry.path)}")
    return tuple(_links_followed(changes))


def write_document(path: Path, before: bytes, after: bytes) -> None:
    """Write one file as `write_documents` does, without a journal: a kill in the middle is not undone."""
    with _opened(FileChange(path=path, before=before, after=after)) as file:
        _all_or_none([file], finished=lambda: None, then=f"then {inv('rollback')}")


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Say an operating system's refusal in the operator's words; the file holds what it held before."""
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def _all_or_none(files: Sequence[_OpenFile], *, finished: Callable[[], None], then: str) -> None:
    """Write every file, or put back what was there. Room is made in all of them before a byte of one is overwritten."""
    try:
        for step in (_grown, _overwritten, _still_there):
            for file in files:
                with refused(file.change.path):
                    step(file)
        with refused(files[0].change.path):
            finished()
    except BaseException as cause:
        _put_back(files, cause, then)
        with suppress(OSError):  # an entry that stays finds every file as it was
            finished()
        raise


def _grown(file: _OpenFile) -> None:
    grow(file.descriptor, file.change.after)


def _overwritten(file: _OpenFile) -> None:
    overwrite(file.descriptor, file.change.after)


def _still_there(file: _OpenFile) -> None:
    """Raise DocumentError if the path has become another file: then nobody will read what was written."""
    if not os.path.samestat(file.change.path.stat(), os.fstat(file.descriptor)):
        raise DocumentError(
            "the file was replaced by somebody else while it was written; their version was kept",
            where=pasteable(file.change.path),
            fix="run the command again: it plans from the file as it is now",
        )


def _put_back(files: Sequence[_OpenFile], cause: BaseException, then: str) -> None:
    """Restore every file; raises DocumentError, after all have been tried, if one cannot be.

    Bytes that are not of our writing are not overwritten either: somebody else works on that file at this moment.
    """
    damaged: list[str] = []
    for file in files:
        try:
            if is_torn(content_of(file.descriptor), file.change.before, file.change.after):
                restore(file.descriptor, file.change.before)
            else:
                damaged.append(f"{pasteable(file.change.path)} (another program is writing it)")
        except OSError as error:
            damaged.append(f"{pasteable(file.change.path)} ({error.strerror})")
    if damaged:
        seen = cause.seen if isinstance(cause, DocumentError) else repr(cause)
        raise DocumentError(
            f"writing failed ({seen}), and the old bytes could not be put back: THE FILE IS DAMAGED",
            where=", ".join(damaged),
            fix=f"make room or repair the disk; {then}",
        ) from cause


@contextmanager
def _opened(change: FileChange) -> Iterator[_OpenFile]:
    with refused(change.path):
        descriptor = opened(change.path, os.O_RDWR)
    try:
        with refused(change.path):
            found = content_of(descriptor)
        if found != change.before:
            raise DocumentError(
                "the file was changed by somebody else since it was read; nothing was written",
                where=pasteable(change.path),
                fix="run the command again: it plans from the file as it is now",
            )
        yield _OpenFile(descriptor=descriptor, change=change)
    finally:
        os.close(descriptor)


def _refuse_one_file_twice(files: Sequence[_OpenFile]) -> None:
    """Raise DocumentError if two paths are one file: the second write would undo the first."""
    seen: dict[tuple[int, int], Path] = {}
    for file in files:
        which = identity(os.fstat(file.descriptor))
        if which in seen:
            raise DocumentError(
                f"{pasteable(seen[which])} and {pasteable(file.change.path)} are one and the same file",
                where=pasteable(file.change.path),
                fix="give the dashboard and the rules file, each by its own path",
            )
        seen[which] = file.change.path


def _links_followed(changes: Sequence[FileChange]) -> Iterator[str]:
    for change in changes:
        if change.path.is_symlink():
            yield f"{pasteable(change.path)} is a symbolic link: {pasteable(change.path.resolve())} was written"


def _refusal(path: Path, error: OSError, *, may: str = "write") -> DocumentError:
    rights = f"run as the user who owns the file, or give yourself {may} permission"
    fixes = {
        errno.ENOENT: "check the path, or set --monitoring-dir",
        errno.EACCES: rights,
        errno.EPERM: f"{rights}; chattr -i, if it is immutable (lsattr)",
        errno.EROFS: "run on the host where the file is writable: a container sees it read-only",
        errno.EISDIR: "give the path of the file itself",
        errno.EBUSY: "close that program, then run the command again",
        errno.ENOSPC: "make room on the disk, then run the command again",
    }
    seen = error.strerror or str(error)
    if may == "write":
        seen += "; the file is as it was"
    where = pasteable(path)
    with suppress(OSError):
        if error.errno == errno.ENOENT and path.is_symlink():
            where = f"{where}, a symbolic link to {pasteable(path.readlink())}"
    return DocumentError(
        seen, where=where, fix=fixes.get(error.errno or 0, "remove the cause, then run the command again")
    )
