"""The sink's lines, read from a real process of the local stack's runtime."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from runbook.commands.logs.options import LogsOptions
from runbook.commands.logs.steps import followed, logs
from runbook.commands.run_context import RunContext
from runbook.console import document
from runbook.errors import RunbookError, UsageError
from runbook.observer import NullObserver
from runbook.settings import Target
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.processes.launcher import Launch, Launcher
from runbook.systems.runtime import Runtime
from runbook.waiting import Pending, wait_until
from tests.schema import validate

TARGET = Target.from_tables("test", {}, source="test")
LINES = 25


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path / ".stack")
    yield launcher
    launcher.stop_strays(timeout_s=0)


@pytest.fixture
def runtime(launcher: Launcher, tmp_path: Path) -> Runtime:
    """A sink that wrote its lines, one an hour, the last one now, and has ended."""
    now = datetime.now(UTC)
    stamps = [
        (now - timedelta(hours=LINES - number)).strftime("%Y-%m-%dT%H:%M:%S.%f") for number in range(1, LINES + 1)
    ]
    code = (
        f"for number, at in enumerate({stamps!r}, 1): print(f'[{{at}}] Received lead.created {{number}}', flush=True)"
    )
    launcher.start(TARGET.sink.service, Launch(command=(sys.executable, "-S", "-c", code), directory=str(tmp_path)))
    log = launcher.log_file(TARGET.sink.service)

    def written() -> bool | Pending:
        return (log.exists() and log.read_text().count("\n") == LINES) or Pending("not all lines")

    wait_until(written, what="the log", deadline_s=10, where=str(log), fix="none", every_s=0.01)
    return ProcessRuntime(launcher.root)


def context_of(runtime: Runtime) -> RunContext:
    return RunContext("logs", screen=NullObserver(), target=TARGET, runtime=runtime, is_recorded=False)


def read(runtime: Runtime, *, since: str | None = None, tail: int | None = None) -> list[str]:
    found = logs(context_of(runtime), LogsOptions(since=since, tail=tail))
    validate(document(found))
    assert found.lines is not None
    return [line.text.rpartition(" ")[2] for line in found.lines]


@pytest.mark.parametrize(
    ("since", "tail", "expected"),
    [
        (None, None, [str(number) for number in range(6, 26)]),
        (None, 2, ["24", "25"]),
        ("90m", None, ["24", "25"]),
        ("3h30m", 1, ["25"]),
        ("2d", None, [str(number) for number in range(1, 26)]),
    ],
)
def test_lines(runtime: Runtime, since: str | None, tail: int | None, expected: list[str]) -> None:
    """The last twenty as the runbook does, the last N, or all since a time, also after the sink has ended."""
    assert read(runtime, since=since, tail=tail) == expected


def test_following(runtime: Runtime) -> None:
    """Lines come one by one, from the time that was asked for."""
    lines = [
        line.text.rpartition(" ")[2]
        for line in islice(followed(context_of(runtime), datetime.now(UTC) - timedelta(minutes=90)), 2)
    ]

    assert lines == ["24", "25"]


def test_no_sink(launcher: Launcher, tmp_path: Path) -> None:
    """A service that is not there is a problem with the nearest name, not an empty log."""
    launcher.start("crm-event-sink", Launch(command=("true",), directory=str(tmp_path)))
    runtime = ProcessRuntime(launcher.root)

    found = logs(context_of(runtime), LogsOptions())

    assert found.exit_code == 1
    assert found.problem is not None
    assert "nearest: crm-event-sink" in found.problem.seen
    with pytest.raises(RunbookError, match="crm-event-sink"):
        followed(context_of(runtime), None)


@pytest.mark.parametrize("tail", [0, -1, 100_001])
def test_a_senseless_tail(runtime: Runtime, tail: int) -> None:
    with pytest.raises(UsageError, match="--tail"):
        read(runtime, tail=tail)
