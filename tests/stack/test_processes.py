"""A process is a service like a container: found, restarted, read."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import psutil
import pytest

from runbook.clients.launcher import Launch, Launcher
from runbook.clients.processes import ProcessRuntime
from runbook.clients.runtime import Runtime, Service
from runbook.errors import RunbookError, UnreachableError

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


def test_a_running_service(runtime: Runtime, launcher: Launcher, program: Program) -> None:
    """It is found by its compose name, with the time of its start."""
    launcher.start(SINK.name, program(SLEEPS))

    state = runtime.state(SINK)

    assert (state.found, state.status, state.exit_code) == (True, "running", None)
    assert state.started_at is not None
    assert abs((datetime.now(UTC) - state.started_at).total_seconds()) < 60


def test_a_killed_service(runtime: Runtime, launcher: Launcher, program: Program, until: Until) -> None:
    """It has exited with 137, as a container would have."""
    launcher.start(SINK.name, program(SLEEPS))
    launcher.kill(SINK.name)
    until(lambda: runtime.state(SINK).exit_code is not None)

    state = runtime.state(SINK)

    assert (state.found, state.status, state.exit_code, state.is_running) == (True, "exited", 137, False)


def test_a_paused_service(runtime: Runtime, launcher: Launcher, program: Program, until: Until) -> None:
    """SIGSTOP is what `docker pause` looks like here."""
    record = launcher.start(SINK.name, program(SLEEPS))
    psutil.Process(record.pid).suspend()

    until(lambda: runtime.state(SINK).status == "paused")
    assert not runtime.state(SINK).is_running


def test_a_service_that_is_not_there(runtime: Runtime, launcher: Launcher, program: Program) -> None:
    """The names closest to it are given, as for a misspelt container."""
    launcher.start(SINK.name, program(SLEEPS))

    state = runtime.state(Service(name="crm-event-sink", container="whatever"))

    assert (state.found, state.nearest) == (False, (SINK.name,))


@pytest.mark.parametrize("question", ["state", "log", "restart"])
def test_a_stack_that_is_not_up(question: str, runtime: Runtime) -> None:
    """The engine is down then: every question says so, and how to start it."""
    options = {"timeout_s": 1.0} if question == "restart" else {}

    with pytest.raises(UnreachableError) as caught:
        getattr(runtime, question)(SINK, **options)

    assert (caught.value.reason, caught.value.fix) == ("refused", "inv stack.up")


def test_restart(runtime: Runtime, launcher: Launcher, program: Program, until: Until) -> None:
    """The same command runs as a new process, and the log goes on."""
    before = launcher.start(SINK.name, program(f"print('started'); {SLEEPS}"))
    until(lambda: len(runtime.log(SINK)) == 1)

    runtime.restart(SINK, timeout_s=5)

    after = launcher.record(SINK.name)
    assert after is not None
    assert (after.launch, after.number) == (before.launch, 2)
    assert launcher.process(before) is None
    assert runtime.state(SINK).is_running
    until(lambda: [line.text for line in runtime.log(SINK)] == ["started", "started"])


def test_restart_of_a_service_that_is_not_there(runtime: Runtime, launcher: Launcher, program: Program) -> None:
    """The error names what there is."""
    launcher.start("grafana", program(SLEEPS))

    with pytest.raises(RunbookError, match="there are grafana"):
        runtime.restart(SINK, timeout_s=1)


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


@pytest.mark.parametrize(("tail", "expected"), [(None, 6), (2, 2), (0, 0), (99, 6)])
def test_the_last_lines(
    tail: int | None, expected: int, runtime: Runtime, launcher: Launcher, program: Program
) -> None:
    launcher.start(SINK.name, program(SLEEPS))
    written(launcher, LINES)

    assert len(runtime.log(SINK, tail=tail)) == expected


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
    launcher.start(SINK.name, program(SLEEPS))
    (tmp_path / "rules.yml").write_bytes(b"groups: []\n")

    assert runtime.file_inside(SINK, str(tmp_path / "rules.yml")) == b"groups: []\n"
    assert runtime.file_inside(SINK, str(tmp_path / "none.yml")) is None
    assert runtime.mounts(SINK) == ()
    assert runtime.networks(SINK) == frozenset({"host"})
    assert runtime.start_command(SINK) == "inv stack.up"
    assert str(launcher.log_file(SINK.name)) in runtime.log_command(SINK)
