"""Folders and files that only their owner can enter or read: 0700 and 0600 whatever the umask; no one else's.

On Windows they have the rights of the folder that they are in, as everything in a user's profile.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbook.errors import RunbookError
from runbook.platforms import opened, our_id, restrict, user_name

_FOLDER = 0o700
_FILE = 0o600
_OTHERS = 0o077
_PERMISSIONS = 0o777


def private_folder(path: Path) -> None:
    """Make a folder that only we can enter, or take the rights of others from ours that is there.

    Folders above it that are missing are made as any program makes them. Raises RunbookError if it belongs to another
    user, and OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=_FOLDER)
    except FileExistsError:
        refuse_foreign(path)
        mode = path.stat().st_mode & _PERMISSIONS
        if mode & _OTHERS:
            path.chmod(mode & _FOLDER)
    else:
        path.chmod(_FOLDER)  # the umask may have taken even our own rights


def refuse_foreign(path: Path) -> None:
    """Raise RunbookError if a file or folder belongs to another user; OSError if it cannot be looked at."""
    theirs, we = owner(path), our_id()
    if theirs != we:
        raise RunbookError(
            f"{path.name} belongs to {user_name(theirs)}, and this command runs as {user_name(we)}",
            where=str(path),
            fix=f"run the command as {user_name(theirs)}, or take it over: sudo chown -R {user_name(we)} {path}",
        )


@contextmanager
def private_file(path: Path, flags: int) -> Iterator[int]:
    """Open a file for writing, made if it is missing, and yield its descriptor; only we can read it from then on.

    `flags` are those of `opened` beside O_WRONLY and O_CREAT. Raises OSError.
    """
    descriptor = opened(path, os.O_WRONLY | os.O_CREAT | flags, _FILE)
    try:
        if os.fstat(descriptor).st_mode & _PERMISSIONS != _FILE:
            restrict(descriptor, _FILE)
        yield descriptor
    finally:
        os.close(descriptor)


def owner(path: Path) -> int:
    """Return the user id of who a file or folder belongs to. Raises OSError."""
    return path.stat().st_uid
