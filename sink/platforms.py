"""What differs for the sink between Linux, macOS and Windows: a lock, its signals, and who may listen at a port."""

import errno
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGBREAK)
    _HELD_BY_ANOTHER: Final = PermissionError
else:
    import fcntl

    STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
    _HELD_BY_ANOTHER: Final = BlockingIOError


def acquired_lock(path: Path) -> int | None:
    """Return the descriptor of a lock file that is ours until it is closed; None if another process has it.

    It ends with the process, however that ends. Raises OSError.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if sys.platform == "win32":
            handle = wintypes.HANDLE(msvcrt.get_osfhandle(lock))
            if not ctypes.windll.kernel32.LockFile(handle, 0, 0, 1, 0):
                raise ctypes.WinError()
        else:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, _HELD_BY_ANOTHER):
            return None
        raise
    return lock


def reader_has_gone(error: OSError) -> bool:
    """Whether nobody reads a pipe any more, as after `| head`; Windows answers EINVAL then."""
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def claim_alone(listener: socket.socket) -> None:
    """Let a socket bind to an address that nothing listens at; one that was left just now counts as free.

    On Windows, SO_REUSEADDR would let two programs listen at one address.
    """
    if sys.platform == "win32":
        option = socket.SO_EXCLUSIVEADDRUSE
    else:
        option = socket.SO_REUSEADDR
    listener.setsockopt(socket.SOL_SOCKET, option, 1)
