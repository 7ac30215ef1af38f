"""What differs between Linux, macOS and Windows, and nothing else: open files, locks, the disk, users, processes.

Whatever is not the same everywhere is asked here; `mypy --platform win32` finds what is asked elsewhere. Windows is
without owners, rights, signals between processes and open folders; its locks are mandatory, and an open file is
renamed or removed only if whoever opened it allowed that.
"""

import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

if sys.platform == "win32":
    import _winapi
    import ctypes
    import getpass
    import msvcrt
    import subprocess
    from ctypes import wintypes
else:
    import fcntl
    import pwd

PROC: Final = Path("/proc")
"""Where Linux tells of processes and locks."""
REMOVED: Final = ".removed"
"""Of a file that was to be removed on Windows when a kill came between."""
SHELL: Final = Path("/bin/sh")
"""The shell of POSIX."""
NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 1 << 30)
"""A flag of `opened`: a symbolic link in the place of the file is refused (ELOOP)."""
NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
"""A flag of `opened`: a pipe in the place of the file is not waited for."""

if sys.platform == "win32":
    END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_LOCKED_BYTE: Final = 0x7FFF_0000  # no file of ours is that long: what a Windows lock holds, nobody else can read
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_EVERY_S: Final = 0.5
_ended: Final = threading.Event()
_HELD_BY_ANOTHER: Final = PermissionError if sys.platform == "win32" else BlockingIOError
_SHARED: Final = 1 | 2 | 4  # FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_SHARE_DELETE (learn.microsoft.com, CreateFileW)
_NORMAL: Final = 0x80
_AT_ONCE, _EXCLUSIVE = 1, 2
_SHARING_VIOLATION: Final = 32
_CREATE_NEW, _CREATE_ALWAYS, _OPEN_EXISTING, _OPEN_ALWAYS, _TRUNCATE_EXISTING = 1, 2, 3, 4, 5


# Open files


def opened(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file for its bytes as they are, and return its descriptor, which no child inherits.

    `flags` are those of os.open that every system has, NOFOLLOW and NONBLOCK; `mode` counts for a new file. On
    Windows, others may rename or remove it meanwhile, as everywhere else. Raises OSError.
    """
    if sys.platform == "win32":
        if flags & NOFOLLOW and path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        reads, writes = _winapi.GENERIC_READ, _winapi.GENERIC_WRITE
        access = {os.O_WRONLY: writes, os.O_RDWR: reads | writes}.get(flags & (os.O_WRONLY | os.O_RDWR), reads)
        try:
            handle = _winapi.CreateFile(str(path), access, _SHARED, 0, _disposition(flags), _NORMAL, 0)
        except OSError as error:  # in the words of the other systems, not in those of this one's language
            if error.winerror == _SHARING_VIOLATION:
                raise OSError(errno.EBUSY, "another program has it open", str(path)) from None
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from None
        return msvcrt.open_osfhandle(handle, flags & os.O_APPEND | os.O_BINARY)
    return os.open(path, flags, mode)


def _disposition(flags: int) -> int:
    """Return what CreateFileW does about a file that is there, and about one that is not."""
    if flags & os.O_CREAT:
        if flags & os.O_EXCL:
            return _CREATE_NEW
        return _CREATE_ALWAYS if flags & os.O_TRUNC else _OPEN_ALWAYS
    return _TRUNCATE_EXISTING if flags & os.O_TRUNC else _OPEN_EXISTING


def read_at(descriptor: int, size: int, at: int) -> bytes:
    """Return at most `size` bytes from a place in a file. Raises OSError."""
    if sys.platform != "win32":
        return os.pread(descriptor, size, at)
    os.lseek(descriptor, at, os.SEEK_SET)
    return os.read(descriptor, size)


def write_at(descriptor: int, content: memoryview, at: int) -> int:
    """Write at a place in a file, and return how many bytes the system took. Raises OSError."""
    if sys.platform != "win32":
        return os.pwrite(descriptor, content, at)
    os.lseek(descriptor, at, os.SEEK_SET)
    return os.write(descriptor, content)


def identity(found: os.stat_result) -> tuple[int, int]:
    """Return which file it is: its device and its number there, 64 bits each.

    ReFS, the file system of a Windows Dev Drive, numbers by 128 bits.
    """
    return found.st_dev, (found.st_ino ^ found.st_ino >> 64) & 0xFFFF_FFFF_FFFF_FFFF


def listed_device(found: os.stat_result) -> str:
    """Return the device of a file as Linux lists it: `fe:01`."""
    if sys.platform == "win32":
        return ""
    return f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"


def remove(path: Path) -> None:
    """Remove a file that may be open here: nobody finds its name any more. Raises OSError.

    Some file systems of Windows keep the name until the file is closed; so it gets another one first.
    """
    if sys.platform == "win32":
        path = path.replace(path.with_suffix(REMOVED))
    path.unlink()


def lists_locks() -> bool:
    """Whether the system lists who holds which lock: Linux does (proc(5)), other systems do not."""
    return sys.platform == "linux" and (PROC / "locks").exists()


# The disk


def sync(descriptor: int) -> None:
    """Wait until a file is on the disk; fsync alone leaves it in the drive's cache on macOS. Raises OSError."""
    if sys.platform == "darwin":
        with suppress(OSError):  # a file system that cannot, such as one of a network
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a new, renamed or removed name last; on Windows the file system's own journal does. Raises OSError."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def may_pass(error: OSError) -> bool:
    """Whether a refusal may be over soon: on Windows, virus scanners and OneDrive open what is new for a moment."""
    return sys.platform == "win32" and isinstance(error, PermissionError)


# Locks: of an open file, until it is closed or its process ends, however it ends


def try_lock(descriptor: int) -> bool:
    """Whether the lock of an open file is ours from now on. Raises OSError where there are no locks."""
    try:
        if sys.platform == "win32":
            _lock_byte(descriptor, _EXCLUSIVE | _AT_ONCE)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except _HELD_BY_ANOTHER:
        return False
    return True


def lock(descriptor: int) -> None:
    """Wait for the lock of an open file. Raises OSError where there are no locks."""
    if sys.platform == "win32":
        _lock_byte(descriptor, _EXCLUSIVE)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Wait for the lock of a folder and hold it; on Windows it is that of a file beside it. Raises OSError."""
    if sys.platform == "win32":
        descriptor = opened(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT)
    else:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":

    class _Place(ctypes.Structure):
        """The place of a lock in a file: OVERLAPPED of LockFileEx."""

        _fields_ = (
            ("internal", ctypes.c_void_p),
            ("internal_high", ctypes.c_void_p),
            ("offset", wintypes.DWORD),
            ("offset_high", wintypes.DWORD),
            ("event", wintypes.HANDLE),
        )

    def _lock_byte(descriptor: int, how: int) -> None:
        """Lock one byte; msvcrt.locking would wait for ten seconds only. Raises OSError."""
        system = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))
        if not system.LockFileEx(handle, how, 0, 1, 0, ctypes.byref(_Place(offset=_LOCKED_BYTE))):
            raise ctypes.WinError(ctypes.get_last_error())


# Users and rights


def our_id() -> int:
    """Return the user id that we act as. On Windows it is 0, as that of every file's owner."""
    if sys.platform == "win32":
        return 0
    return os.geteuid()


def is_root() -> bool:
    """Whether we may do everything, as root does; nobody is that on Windows."""
    return sys.platform != "win32" and our_id() == 0


def account(name: str) -> tuple[int, int] | None:
    """Return user and group id of an account; None if there is none, as on Windows."""
    if sys.platform != "win32":
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return None


def user_name(uid: int) -> str:
    """Return the name of a user, or the number where no name is known."""
    if sys.platform == "win32":
        return getpass.getuser()
    else:  # noqa: RET505 - what mypy does not check on Windows
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user {uid}"


def restrict(descriptor: int, mode: int) -> None:
    """Give an open file these rights; on Windows it has those of its folder. Raises OSError."""
    if sys.platform != "win32":
        os.fchmod(descriptor, mode)


# Time


def utc(epoch_s: float) -> datetime:
    """Return a time, before 1970 too: there, datetime.fromtimestamp raises OSError on Windows.

    Raises ValueError and OverflowError for what no calendar has.
    """
    return _EPOCH + timedelta(seconds=epoch_s)


# Signals, processes and addresses


def hold_signals() -> None:
    """Block the signals that end a program, in this and every later thread, until `wait_for_end`.

    A handler could interrupt any line, one that holds a lock included; a thread that waits for the signal cannot.
    """
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
        return
    for number in END_SIGNALS:  # its handlers run in the main thread, which only waits
        signal.signal(number, lambda *_: _ended.set())


def wait_for_end() -> None:
    """Return once one of END_SIGNALS has arrived; `hold_signals` must have been called."""
    if sys.platform != "win32":
        signal.sigwait(END_SIGNALS)
        return
    while not _ended.wait(_LOOK_EVERY_S):  # no handler runs while it waits
        pass


def is_alive(pid: int) -> bool:
    """Whether a process of that id runs here; that it is the same one as before is not known."""
    if sys.platform == "win32":  # os.kill would end it
        import psutil  # noqa: PLC0415 - on this system alone, and in few commands

        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def reader_has_gone(error: OSError) -> bool:
    """Whether nobody reads a pipe any more, as after `| head`; Windows answers EINVAL then."""
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def has_shell() -> bool:
    """Whether there is a POSIX shell; none of Windows has its place and its ways."""
    return sys.platform != "win32" and SHELL.exists()


def detached() -> dict[str, Any]:
    """Return the options of Popen for a process that outlives us, and that Ctrl-C at our terminal does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def claim_alone(listener: socket.socket) -> None:
    """Let a socket bind to an address that nothing listens on; one that was left just now counts as free.

    On Windows, SO_REUSEADDR would let two programs listen at one address.
    """
    if sys.platform == "win32":
        option = socket.SO_EXCLUSIVEADDRUSE
    else:
        option = socket.SO_REUSEADDR
    listener.setsockopt(socket.SOL_SOCKET, option, 1)
