"""The processes of a run of the tests: started, awaited, and ended with all that they started, however the run ends.

On Linux an orphan of the tests becomes a child of this program, whatever session it is in, and is found by that.
Elsewhere only those are found whose parents are still there.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Final, Never

import psutil

from runbook.errors import ExitCode, WaitError
from runbook.waiting import Pending, wait_until
from tests.lint import ROOT

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPT_S: Final = 20.0  # a fixture ends its stack in less than ten
_TERMINATE_S: Final = 5.0
_KILL_S: Final = 1.0
_KILLS: Final = 3  # one may start another while it is killed


class Children:
    """Processes that are started in sessions of their own: a signal of the terminal reaches this program alone."""

    def __init__(self) -> None:
        """Become the parent of the tests' orphans."""
        self._running: set[int] = set()
        self._codes: dict[int, int] = {}
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def start(self, command: Sequence[str], *, environment: Mapping[str, str], output: IO[bytes] | None = None) -> int:
        """Start a command and return its id; what it prints goes to `output`, or where ours goes."""
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
        )
        process.returncode = 0  # not awaited by Popen, but here
        self._running.add(process.pid)
        return process.pid

    def code(self, pid: int) -> int:
        """Wait for the end of a process and return its exit code, -N after signal N; bury orphans meanwhile."""
        while pid in self._running:
            self._bury(os.waitpid(-1, 0))
        return self._codes[pid]

    def end(self) -> tuple[str, ...]:
        """End what was started here, then what that has left behind, and return the command lines of the latter."""
        for pid in self._running:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGINT)
        self._wait(lambda: not self._running, _INTERRUPT_S)
        left = self._left()
        words = tuple(_words(process) for process in left)
        for process in left:
            with suppress(psutil.Error):
                process.terminate()
                process.resume()
        self._wait(lambda: not self._left(), _TERMINATE_S)
        for _ in range(_KILLS):
            for process in self._left():
                with suppress(psutil.Error):
                    process.kill()
            self._wait(lambda: not self._left(), _KILL_S)
        return words

    def _left(self) -> list[psutil.Process]:
        """Return all below this program that still run, once those that have ended are buried."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self._bury(ended)
        below = psutil.Process().children(recursive=True)
        return [process for process in below if _is_running(process)]

    def _wait(self, is_over: Callable[[], bool], deadline_s: float) -> None:
        def look() -> bool | Pending:
            self._left()
            return is_over() or Pending("still running")

        with suppress(WaitError):
            wait_until(look, what="the end", deadline_s=deadline_s, where="", fix="", every_s=0.05)

    def _bury(self, ended: tuple[int, int]) -> None:
        pid, status = ended
        if pid in self._running:
            self._running.remove(pid)
            self._codes[pid] = os.waitstatus_to_exitcode(status)


def end_by_signals(*, parent: int = 0) -> None:
    """Let the first SIGINT, SIGTERM or SIGHUP raise SystemExit(130), and no later one; so does the end of `parent`.

    After nohup, SIGHUP stays ignored. SIGINT does not, as a shell ignores it for its jobs in the background: what is
    started here would inherit that, and not be ended by it.
    """
    for number in _SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    if parent:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the kernel was asked
            raise SystemExit(int(ExitCode.INTERRUPTED))


def _stop(_signum: int, _frame: object) -> Never:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(int(ExitCode.INTERRUPTED))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    return False


def _words(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())}"
    return str(process.pid)
