"""One run at a time: on a target, by a file of the state directory; on the files that are edited, by those files.

The kernel keeps the locks (flock) and drops them with their process, however it ends: there is no stale lock that
somebody would have to recognise or remove. Who holds one is asked of the kernel too (/proc/locks, proc(5)), together
with when that process began, so that an id which was given out again names nobody.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from runbook.errors import LockedError, RunbookError
from runbook.private_paths import private_file, private_folder, user_name
from runbook.wording import pasteable

_PROC = Path("/proc")
_PROGRAMS = {"inv", "crm-runbook"}
_TASK = re.compile(r"[a-z]+(?:\.[a-z]+)?")


@contextmanager
def target_lock(state_dir: Path, *, target: str) -> Iterator[None]:
    """Hold the one lock of a target while files are changed or traffic is sent.

    Raises LockedError, naming the holder, and RunbookError if the state directory cannot be written or belongs to
    another user.
    """
    path = state_dir / "locks" / f"{hashlib.sha256(target.encode()).hexdigest()[:16]}.lock"
    with ExitStack() as stack:
        try:
            private_folder(state_dir)
            private_folder(path.parent)
            descriptor = stack.enter_context(private_file(path, os.O_NOFOLLOW))
            is_ours = _is_ours(descriptor)
        except OSError as error:
            raise RunbookError(
                f"The lock of target {target!r} cannot be taken, so nothing was done: {error.strerror}",
                where=str(path),
                fix="make room there, or work in a directory of a local disk that you may write to",
            ) from None
        if not is_ours:
            raise _locked(path, f"target {target!r}")
        yield


@contextmanager
def files_lock(paths: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Hold the files themselves: against runs of other users, from other directories and under other targets' names.

    Yields what the operator should know: a file system that keeps no locks. A file that cannot be opened is left to
    its reader, who says so. Raises LockedError.
    """
    notes, held = [], set()
    with ExitStack() as stack:
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue
            stack.callback(os.close, descriptor)
            file = os.fstat(descriptor)
            if (file.st_dev, file.st_ino) in held:  # one file by two names: its writer refuses that
                continue
            held.add((file.st_dev, file.st_ino))
            try:
                is_ours = _is_ours(descriptor)
            except OSError as error:
                why = f"this file system keeps no locks ({error.strerror}); let no other run work on it"
                notes.append(f"{pasteable(path)}: {why}")
                continue
            if not is_ours:
                raise _locked(path, pasteable(path))
        yield tuple(notes)


def holder(path: Path) -> int | None:
    """The process that holds the lock on a file, as the kernel lists it: `1: FLOCK ADVISORY WRITE 4711 fe:01:42 0 EOF`.

    Overlay and btrfs list another device than stat(2) tells: then the process must have the file open, too. None if
    nobody does, or if the system does not tell. Raises FileNotFoundError.
    """
    file = path.stat()
    device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}"
    for where, pid in _holders(file.st_ino):
        if where == device or _has_open(pid, file):
            return pid
    return None


def _is_ours(descriptor: int) -> bool:
    """Whether the lock is ours from now on. Raises OSError where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked(path: Path, what: str) -> LockedError:
    pid = holder(path)
    who = (pid and _described(pid)) or "a process that this system does not name"
    fix = f"wait until it has ended{f' (see it with: ps -fp {pid})' if pid else ''}, then run this command again"
    return LockedError(f"Another command is using {what}: {who}", where=pasteable(path), fix=fix)


def _holders(inode: int) -> Iterator[tuple[str, int]]:
    with suppress(OSError, ValueError):
        for line in (_PROC / "locks").read_text("ascii").splitlines():
            _, kind, _, _, pid, place, *_ = line.split()
            where, _, number = place.rpartition(":")
            if kind == "FLOCK" and number == str(inode) and int(pid) > 0:
                yield where, int(pid)


def _has_open(pid: int, file: os.stat_result) -> bool:
    with suppress(OSError):
        return any(os.path.samestat(opened.stat(), file) for opened in (_PROC / str(pid) / "fd").iterdir())
    return False


def _described(pid: int) -> str:
    """Who a process is: its task, user and beginning; empty if it has ended meanwhile."""
    process = _PROC / str(pid)
    try:
        owner = process.stat().st_uid
        words = process.joinpath("cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        ticks = int(process.joinpath("stat").read_text("utf-8").rpartition(")")[2].split()[19])
        booted = float(re.findall(r"^btime (\d+)$", (_PROC / "stat").read_text("ascii"), re.MULTILINE)[0])
    except (OSError, ValueError, IndexError):
        return ""
    began = datetime.fromtimestamp(booted + ticks / os.sysconf("SC_CLK_TCK"), UTC)
    return f"{_task(words)}process {pid} of {user_name(owner)}, since {began:%Y-%m-%d %H:%M:%S} UTC"


def _task(words: Sequence[str]) -> str:
    """The task of a process, if it is one of ours: the word behind our program's name."""
    for program, task in pairwise(words):
        if Path(program).name in _PROGRAMS and _TASK.fullmatch(task):
            return f"inv {task}, "
    return ""
