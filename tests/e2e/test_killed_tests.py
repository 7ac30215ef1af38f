"""A run of the tests that is ended from outside, while a stack of theirs is up: nothing of it stays."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from runbook.waiting import Pending, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
TWO_WORKERS = "tests/commands/test_traffic.py"
ONE = f"{TWO_WORKERS}::test_everything_wanted_is_created_and_kept"
RUN = [sys.executable, "-m", "tests.run", "--only", ONE]
INV = [str(Path(sys.executable).parent / "crm-runbook"), "test", "--only", ONE]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ONE]
SERVICES = ("prometheus", "alertmanager", "runbook.local_stack.fakes", "-m sink")
STARTS_WITHIN_S = 120
ENDS_WITHIN_S = 60


@pytest.mark.parametrize(
    ("command", "number"),
    [(RUN, signal.SIGTERM), (INV, signal.SIGTERM), (INV, signal.SIGKILL)],
    ids=["SIGTERM to the runner", "SIGTERM to inv", "SIGKILL to inv"],
)
def test_an_ended_run_leaves_no_process(tmp_path: Path, command: list[str], number: signal.Signals) -> None:
    """Whichever of the two gets it; Ctrl-C and SIGHUP are handled as SIGTERM is."""
    with running(command, tmp_path) as run:
        run.send_signal(number)
        code = run.wait(ENDS_WITHIN_S)
        assert code == (130 if number == signal.SIGTERM else -number)
        none_is_left(tmp_path)


def test_a_closed_terminal_leaves_no_process(tmp_path: Path) -> None:
    """Every process of the foreground gets SIGHUP, and whatever they print fails."""
    ours, theirs = pty.openpty()
    on_terminal = f"import os, sys; os.login_tty({theirs}); os.execv(sys.argv[1], sys.argv[1:])"
    with running([sys.executable, "-c", on_terminal, *INV[:-1], TWO_WORKERS], tmp_path, terminal=theirs) as run:
        os.close(theirs)
        os.close(ours)
        run.wait(ENDS_WITHIN_S)
        none_is_left(tmp_path)


def test_without_the_runner_the_stack_would_stay(tmp_path: Path) -> None:
    """Negative control: pytest by itself, killed, leaves the services, and they are seen here."""
    with running(PYTEST, tmp_path) as run:
        run.kill()
        run.wait(ENDS_WITHIN_S)
        assert services(tmp_path)


@contextmanager
def running(command: list[str], folder: Path, *, terminal: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Have a run of the tests whose stack is up; whatever is left of it at the end is ended here."""
    try:
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=terminal is None,
            pass_fds=() if terminal is None else (terminal,),
        ) as run:
            wait_until(
                lambda: bool(services(folder)) or Pending(f"exit code {run.poll()}"),
                what="the stack of the tests",
                deadline_s=STARTS_WITHIN_S,
                where=str(folder),
                fix="none",
            )
            yield run
    finally:
        for process in of(folder):
            process.kill()


def none_is_left(folder: Path) -> None:
    wait_until(
        lambda: not (left := of(folder)) or Pending(str([*left.values()])),
        what="the end of every process",
        deadline_s=ENDS_WITHIN_S,
        where=str(folder),
        fix="none",
    )


def services(folder: Path) -> list[str]:
    """Return the services of the stack that run below the folder; some come before the others."""
    return [name for name in SERVICES if any(name in line for line in of(folder).values())]


def of(folder: Path) -> dict[psutil.Process, str]:
    """Return the processes that name the folder, with their command: the run has it as TMPDIR, the stack as mark."""
    found = {}
    for process in psutil.process_iter():
        try:
            words, environment = process.cmdline(), process.environ()
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in (*words, *environment.values())):
            found[process] = " ".join(words)
    return found
