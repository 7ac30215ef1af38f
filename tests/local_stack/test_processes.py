"""A process is a service like a container: found, restarted, read."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from runbook.invocation import inv
from runbook.shell import end_process, resume_process
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.processes.launcher import Launch, Launcher
from runbook.systems.runtime import Runtime, Service

Program = Callable[..., Launch]
Until = Callable[[Callable[[], bool]], None]

SINK = Service(name="crm-events-sink", container="aether-crm-events-sink")
SLEEPS = "import signal; signal.pause()"


@pytest.fixture
def runtime(launcher: Launcher) -> Runtime:
    return ProcessRuntime(launcher.root)


def written(launcher: Launcher, text: str) -> None:
    """Put lines into the sink's log, as if it had written them."""
    with launcher.log_file(SINK.name).open("a", encoding="utf-8") as file:
        file.write(text)


def test_restart(runtime: Runtime, launcher: Launcher, program: Program) -> None:
    """The same command runs as a new process, which has the next number."""
    before = launcher.start(SINK.name, program(SLEEPS))

    runtime.restart(SINK, timeout_s=5)

    after = launcher.record(SINK.name)
    assert after is not None
    assert (after.launch, after.number) == (before.launch, 2)
    assert launcher.process(before) is None


CHILD = """
import signal, socket
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
print(*sorted(one.getsockname()[1] for one in listeners), flush=True)
signal.pause()
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {CHILD!r}])"


def test_a_child_listens_for_its_parent(runtime: Runtime, launcher: Launcher, program: Program, until: Until) -> None:
    """As with a program behind a shell; each TCP port is its own, and UDP is none."""
    launcher.start(SINK.name, program(PARENT))
    until(lambda: len(runtime.log(SINK)) == 1)
    (line,) = runtime.log(SINK)

    assert [one.host_port for one in runtime.published(SINK)] == [int(port) for port in line.text.split()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[2025-11-03T19:48:51.465169] Received lead.created for tenant acme", 465169),
        ("2025-11-03T19:48:51.465Z GET /health 200", 465000),
        ('ts=2025-11-03T19:48:51.465Z caller=main.go:1 level=info msg="ready"', 465000),
        ("time=2025-11-03T19:48:51.465169123Z level=INFO", 465169),
        ("Traceback (most recent call last):", None),
        ("%3|1762199331.465|FAIL|rdkafka#consumer-1| connection refused", None),
        ("[2025-02-31T00:00:00.000000] no such day", None),
        ("", None),
    ],
)
def test_the_time_of_a_line(
    text: str, expected: int | None, runtime: Runtime, launcher: Launcher, program: Program
) -> None:
    """A line has the time that it carries itself, in UTC; none is made up."""
    launcher.start(SINK.name, program(SLEEPS))
    written(launcher, f"{text}\n")

    (line,) = runtime.log(SINK)

    assert line.text == text
    assert line.at == (expected and datetime(2025, 11, 3, 19, 48, 51, expected, tzinfo=UTC))


LINES = """[2025-11-03T19:00:00.000000] before
Traceback before
[2025-11-03T19:01:00.000000] still before
Traceback of unknown time
[2025-11-03T19:02:00.000000] exactly then
Traceback after
"""


def test_lines_since_a_time(runtime: Runtime, launcher: Launcher, program: Program) -> None:
    """What is known to be older is left out; what may be newer stays, for it may be the evidence."""
    launcher.start(SINK.name, program(SLEEPS))
    written(launcher, LINES)

    lines = runtime.log(SINK, since=datetime(2025, 11, 3, 19, 2, tzinfo=UTC))

    assert [line.text for line in lines] == [
        "Traceback of unknown time",
        "[2025-11-03T19:02:00.000000] exactly then",
        "Traceback after",
    ]


def test_follow(runtime: Runtime, launcher: Launcher, program: Program) -> None:
    """Lines come as they are written, each only when it is complete; removing the log ends it."""
    launcher.start(SINK.name, program(SLEEPS))
    written(launcher, LINES + "half a ")
    lines = runtime.follow(SINK, since=datetime(2025, 11, 3, 19, 2, tzinfo=UTC))

    assert [line.text for line in islice(lines, 3)][-1] == "Traceback after"
    writer = threading.Timer(0.05, written, (launcher, "line\nnext\n"))
    writer.start()
    assert [line.text for line in islice(lines, 2)] == ["half a line", "next"]
    writer.join()
    launcher.log_file(SINK.name).unlink()
    assert list(lines) == []


def test_files_mounts_networks_and_commands(
    runtime: Runtime, launcher: Launcher, program: Program, tmp_path: Path
) -> None:
    """A process lives on its host: the same files, no mounts, the host's network."""
    runs = launcher.start(SINK.name, program(SLEEPS))
    (tmp_path / "rules.yml").write_bytes(b"groups: []\n")

    assert runtime.file_inside(SINK, str(tmp_path / "rules.yml")) == b"groups: []\n"
    assert runtime.file_inside(SINK, str(tmp_path / "none.yml")) is None
    assert runtime.mounts(SINK) == ()
    assert runtime.networks(SINK) == frozenset({"host"})
    assert runtime.start_command(SINK) == f"kill {runs.pid}, then {inv('stack.up')}"
    launcher.suspend(SINK.name)
    assert runtime.start_command(SINK) == resume_process(runs.pid) or f"{end_process(runs.pid)}, then {inv('stack.up')}"
    launcher.kill(SINK.name)
    assert runtime.start_command(SINK) == inv("stack.up")
    assert str(launcher.log_file(SINK.name)) in runtime.log_command(SINK)
