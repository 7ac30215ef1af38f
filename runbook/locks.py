"""One run at a time: on a target, by a file of the state directory; on the files that are edited, by those files.

The kernel keeps the locks and drops them with their process, however it ends: there is no stale lock that somebody
would have to recognise or remove. Who holds one is asked of the kernel too (/proc/locks, proc(5)), together with when
that process began, so that an id which was given out again names nobody. Where the kernel does not tell (macOS,
Windows), the holder of a target notes itself in the lock; of the edited files it does not, and is not named.
"""

import hashlib
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

from runbook import platforms
from runbook.errors import LockedError, RunbookError
from runbook.platforms import NOFOLLOW, NONBLOCK, opened, try_lock
from runbook.private_paths import private_file, private_folder
from runbook.shell import show_process
from runbook.wording import moment, pasteable

_CLOCK_STEP_S = 2.0  # a start time is counted from a boot time in whole seconds, which moves with the clock
_NOTE_BYTES = 500
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
            descriptor = stack.enter_context(private_file(path, NOFOLLOW))
            is_ours = try_lock(descriptor)
        except OSError as error:
            raise RunbookError(
                f"The lock of target {target!r} cannot be taken, so nothing was done: {error.strerror}",
                where=str(path),
                fix="make room there, or work in a directory of a local disk that you may write to",
            ) from None
        if not is_ours:
            raise _locked(path, f"target {target!r}")
        if not platforms.lists_locks():
            stack.enter_context(_noted(descriptor))
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
                descriptor = opened(path, os.O_RDONLY | NONBLOCK)
            except OSError:
                continue
            stack.callback(os.close, descriptor)
            which = platforms.identity(os.fstat(descriptor))
            if which in held:  # one file by two names: its writer refuses that
                continue
            held.add(which)
            try:
                is_ours = try_lock(descriptor)
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
    if not platforms.lists_locks():
        return _noted_in(path)
    for where, pid in _holders(file.st_ino):
        if where == platforms.listed_device(file) or _has_open(pid, file):
            return pid
    return None


def is_held(path: Path) -> bool:
    """Whether a process holds the lock on a file; where the system does not list locks, it is tried for a moment.

    Raises OSError.
    """
    if platforms.lists_locks():
        return holder(path) is not None
    descriptor = opened(path, os.O_RDONLY)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _noted(descriptor: int) -> Iterator[None]:
    """Write into a lock, which nobody else writes meanwhile, who holds it from when on, and take it out again."""
    with suppress(OSError):  # a full disk: then nobody is named
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {time.time()} {platform.node()}".encode())
    try:
        yield
    finally:
        os.ftruncate(descriptor, 0)


def _noted_in(path: Path) -> int | None:
    """The process that a lock names; None unless it is one of this machine that ran before it took the lock."""
    import psutil  # noqa: PLC0415 - seldom wanted, and 20 ms

    with suppress(OSError, ValueError, psutil.Error):
        with path.open("rb") as file:
            pid, since, machine = file.read(_NOTE_BYTES).decode().split(" ", 2)
        if machine == platform.node() and psutil.Process(int(pid)).create_time() <= float(since) + _CLOCK_STEP_S:
            return int(pid)
    return None


def _locked(path: Path, what: str) -> LockedError:
    pid = holder(path)
    who = (pid and _described(pid)) or "a process that this system does not name"
    seen = f" (see it with: {show_process(pid)})" if pid else ""
    fix = f"wait until it has ended{seen}, then run this command again"
    return LockedError(f"Another command is using {what}: {who}", where=pasteable(path), fix=fix)


def _holders(inode: int) -> Iterator[tuple[str, int]]:
    with suppress(OSError, ValueError):
        for line in (platforms.PROC / "locks").read_text("ascii").splitlines():
            _, kind, _, _, pid, place, *_ = line.split()
            where, _, number = place.rpartition(":")
            if kind == "FLOCK" and number == str(inode) and int(pid) > 0:
                yield where, int(pid)


def _has_open(pid: int, file: os.stat_result) -> bool:
    with suppress(OSError):
        return any(os.path.samestat(one.stat(), file) for one in (platforms.PROC / str(pid) / "fd").iterdir())
    return False


def _described(pid: int) -> str:
    """Who a process is: its task, user and beginning; empty if it has ended meanwhile."""
    import psutil  # noqa: PLC0415 - see above

    try:
        process = psutil.Process(pid)
        began = platforms.utc(process.create_time())
        return f"{_task(process.cmdline())}process {pid} of {process.username()}, since {moment(began)}"
    except (psutil.Error, OSError):
        return ""


def _task(words: Sequence[str]) -> str:
    """The task of a process, if it is one of ours: the word behind our program's name."""
    for program, task in pairwise(words):
        if Path(program).stem in _PROGRAMS and _TASK.fullmatch(task):
            return f"inv {task}, "
    return ""
