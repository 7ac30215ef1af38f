"""What is started is found again and ended, whatever has happened in between; nothing else is touched."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import psutil
import pytest

from runbook.errors import RunbookError
from runbook.local_stack.ports import is_taken
from runbook.systems.processes.launcher import MARKER, Launch, Launcher

Program = Callable[..., Launch]
Until = Callable[[Callable[[], bool]], None]

SLEEPS = "print('here'); import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here'); signal.pause()"
TRAPS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); print('here'); signal.pause()"

OUTLIVED = """
import ctypes, socket, threading
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=listener.accept).start()
print("here", listener.getsockname()[1])
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture(params=["shell", "python"])
def launcher(request: pytest.FixtureRequest, launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """By the keeper of each kind: a shell, and Python where there is none."""
    if request.param == "python":
        monkeypatch.setattr("runbook.platforms.SHELL", Path("/nowhere/sh"))
    return launcher


def said(launcher: Launcher, name: str = "part") -> str:
    path = launcher.log_file(name)
    return path.read_text() if path.exists() else ""


def is_said(launcher: Launcher, text: str, *, times: int = 1) -> bool:
    return said(launcher).count(text) == times


@pytest.mark.parametrize("launcher", ["shell"], indirect=True)
def test_a_part_is_nobodys_child(launcher: Launcher, program: Program) -> None:
    """Nobody has to bury it; a keeper in Python is a child until its parent ends."""
    record = launcher.start("part", program(SLEEPS))

    assert os.getpid() not in [parent.pid for parent in psutil.Process(record.pid).parents()]


def test_a_part_is_detached(launcher: Launcher, program: Program) -> None:
    """It lives in a session of its own, so that Ctrl-C in the terminal of `up` does not reach it."""
    record = launcher.start("part", program(SLEEPS))

    assert os.getsid(record.pid) != os.getsid(0)
    process = launcher.process(record)
    assert process is not None
    assert process.pid == record.pid


def test_output_of_every_start_is_in_one_log(launcher: Launcher, program: Program, until: Until) -> None:
    """Standard output and error of all starts are kept, as a container's log is."""
    for number in (1, 2):
        launcher.start("part", program("import sys; print('out'); print('error', file=sys.stderr)"))
        until(partial(is_said, launcher, "out\nerror\n", times=number))


@pytest.mark.parametrize(
    ("code", "expected"),
    [("raise SystemExit(7)", 7), ("pass", 0), ("import os; os.kill(os.getpid(), 9)", 137)],
    ids=["exit 7", "exit 0", "kill -9"],
)
def test_the_exit_code_is_kept(code: str, expected: int, launcher: Launcher, program: Program, until: Until) -> None:
    """A code is known although nobody of this process is the parent; 128 + N after signal N."""
    record = launcher.start("part", program(code))

    until(lambda: launcher.exit_code(record) is not None)

    assert launcher.exit_code(record) == expected
    assert launcher.process(record) is None


def test_a_program_that_is_missing(launcher: Launcher, until: Until) -> None:
    """The log says what could not be run, and the code is the shell's 127."""
    record = launcher.start("part", Launch(command=("/nowhere/prometheus",), directory="/"))

    until(lambda: launcher.exit_code(record) is not None)

    assert launcher.exit_code(record) == 127
    assert "/nowhere/prometheus" in said(launcher)


def test_a_gentle_end(launcher: Launcher, program: Program, until: Until) -> None:
    """SIGTERM comes first, and the program's own exit code is kept."""
    record = launcher.start("part", program(TRAPS))
    until(lambda: "here" in said(launcher))

    launcher.stop(["part"], timeout_s=5)

    until(lambda: launcher.exit_code(record) == 3)
    assert launcher.process(record) is None


def test_a_program_that_ignores_sigterm_is_killed(launcher: Launcher, program: Program, until: Until) -> None:
    """After the time-out comes SIGKILL."""
    record = launcher.start("part", program(DEAF))
    until(lambda: "here" in said(launcher))

    launcher.stop(["part"], timeout_s=0.1)

    until(lambda: launcher.exit_code(record) == 137)


def test_a_program_is_gone_with_its_last_thread(launcher: Launcher, program: Program, until: Until) -> None:
    """Its main thread has ended and it counts as a zombie, but another thread still holds the port."""
    record = launcher.start("part", program(OUTLIVED))
    until(lambda: "here" in said(launcher))
    port = int(said(launcher).split()[1])
    until(lambda: psutil.Process(record.pid).status() == psutil.STATUS_ZOMBIE)

    assert is_taken(port)
    assert launcher.process(record)
    assert launcher.halted(record) == "a zombie: its main thread has ended"
    launcher.stop(["part"], timeout_s=0)
    assert not is_taken(port)


def test_a_stopped_program_is_ended(launcher: Launcher, program: Program, until: Until) -> None:
    """A paused part hears SIGTERM at once: it is woken up for it."""
    record = launcher.start("part", program(TRAPS))
    until(lambda: "here" in said(launcher))
    psutil.Process(record.pid).suspend()

    launcher.stop(["part"], timeout_s=5)

    until(lambda: launcher.exit_code(record) == 3)


def test_a_stopped_program_is_halted_until_it_is_resumed(launcher: Launcher, program: Program, until: Until) -> None:
    record = launcher.start("part", program(SLEEPS))
    until(lambda: "here" in said(launcher))
    assert launcher.halted(record) == ""

    launcher.suspend("part")
    until(lambda: launcher.halted(record) == "stopped by a signal (SIGSTOP)")

    launcher.resume("part")
    until(lambda: launcher.halted(record) == "")


def test_an_id_that_belongs_to_another_process_is_left_alone(launcher: Launcher, program: Program) -> None:
    """A record with the id of a living process, but another start time, ends nothing."""
    record = launcher.start("part", program("pass"))
    bystander = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    try:
        path = launcher.root / "parts/part.json"
        stale = msgspec.json.decode(path.read_bytes()) | {
            "pid": bystander.pid,
            "started_at": psutil.Process(bystander.pid).create_time() - 60,
        }
        path.write_bytes(msgspec.json.encode(stale))

        launcher.stop(["part"], timeout_s=0)
        launcher.kill("part")
        launcher.stop_strays(timeout_s=0)

        stored = launcher.record("part")
        assert stored is not None
        assert launcher.process(stored) is None
        assert bystander.poll() is None
        assert record.pid != bystander.pid
    finally:
        bystander.kill()
        bystander.wait()


def test_the_same_start_time_would_have_ended_it(launcher: Launcher, program: Program) -> None:
    """The negative control of the test before: with the right start time the very same call does end it."""
    launcher.start("part", program("pass"))
    bystander = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    try:
        path = launcher.root / "parts/part.json"
        record = msgspec.json.decode(path.read_bytes()) | {
            "pid": bystander.pid,
            "started_at": psutil.Process(bystander.pid).create_time(),
        }
        path.write_bytes(msgspec.json.encode(record))

        launcher.stop(["part"], timeout_s=5)

        assert bystander.wait(timeout=5) < 0
    finally:
        bystander.kill()
        bystander.wait()


def test_a_process_without_a_record_is_found(launcher: Launcher, program: Program, until: Until) -> None:
    """A `stack.up` that was killed before it could write the record leaves nothing that cannot be ended."""
    record = launcher.start("part", program(SLEEPS))
    (launcher.root / "parts/part.json").unlink()

    assert launcher.stop_strays(timeout_s=5)

    assert launcher.process(record) is None
    until(lambda: not launcher.stop_strays(timeout_s=0))


def test_the_neighbour_is_left_alone(launcher: Launcher, program: Program, tmp_path: Path) -> None:
    """A stack in another folder is none of our business."""
    neighbour = Launcher(tmp_path / "other/.stack")
    record = neighbour.start("part", program(SLEEPS))
    try:
        assert not launcher.stop_strays(timeout_s=0)
        assert neighbour.process(record)
    finally:
        neighbour.stop_strays(timeout_s=0)


def test_only_what_is_named_is_in_the_environment(
    launcher: Launcher, program: Program, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is exported for production does not reach a part."""
    monkeypatch.setenv("RUNBOOK_KEYCLOAK_PASSWORD", "for production")

    launcher.start("part", program("import os; print(sorted(os.environ))", environment={"ONE": "1"}))

    until(lambda: "]" in said(launcher))
    assert "'ONE'" in said(launcher)
    assert f"'{MARKER}'" in said(launcher)
    assert "RUNBOOK_KEYCLOAK_PASSWORD" not in said(launcher)


def test_a_value_is_read_at_each_start(launcher: Launcher, program: Program, until: Until, tmp_path: Path) -> None:
    """The broker's new address reaches a part that is started again with its old record."""
    address = tmp_path / "address"
    launch = program("import os; print(os.environ['KAFKA'])", environment_files={"KAFKA": str(address)})
    for value in ("host:1", "host:2"):
        address.write_text(f"{value}\n")
        launcher.start("part", launch)
        until(partial(is_said, launcher, value))


def test_a_value_that_is_not_there(launcher: Launcher, program: Program, tmp_path: Path) -> None:
    """The error names the file; nothing is started."""
    launch = program("pass", environment_files={"KAFKA": str(tmp_path / "address")})

    with pytest.raises(RunbookError) as caught:
        launcher.start("part", launch)

    assert caught.value.where == str(tmp_path / "address")
    assert launcher.record("part") is None


def test_an_old_announcement_is_removed(launcher: Launcher, program: Program, tmp_path: Path) -> None:
    """A file by which a part says that it is ready never speaks for the start before."""
    announcement = tmp_path / "ready"
    announcement.write_text("the start before")

    launcher.start("part", program("pass", announced_by=str(announcement)))

    assert not announcement.exists()


def test_records_are_private(launcher: Launcher, program: Program) -> None:
    """A record holds the environment, so only its owner can read it; a secret never stands in the command."""
    launcher.start("part", program("pass", environment={"GF_SECURITY_ADMIN_PASSWORD": "secret"}))

    path = launcher.root / "parts/part.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": "part"}', b"\xff"])
def test_a_broken_record_is_no_record(content: bytes, launcher: Launcher) -> None:
    """A record cut short by a crash is like none: the mark in the environment finds the process."""
    path = launcher.root / "parts/part.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    assert launcher.record("part") is None
    launcher.stop(["part"], timeout_s=0)
