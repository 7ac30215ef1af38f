"""Parts come up in the order of their needs; one that does not is named, with its own words."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook.errors import RunbookError
from runbook.local_stack.service_spec import ServiceSpec
from runbook.local_stack.startup import bring_up, missing_of
from runbook.observer import NullObserver
from runbook.systems.processes.launcher import Launch, Launcher

Parts = Callable[..., ServiceSpec]
Until = Callable[[Callable[[], bool]], None]

ANNOUNCES = "import pathlib, signal, sys; print('up'); pathlib.Path(sys.argv[1]).touch(); signal.pause()"


class Listener(NullObserver):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def says(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def part(tmp_path: Path) -> Parts:
    """Return a part that is ready when its file is there."""

    def made(name: str, *needs: str, code: str = ANNOUNCES, **options: Any) -> ServiceSpec:  # noqa: ANN401 - fields of ServiceSpec
        ready = tmp_path / name
        command = (sys.executable, "-u", "-S", "-c", code, str(ready))
        return ServiceSpec(
            name=name,
            plays=f"the part of {name}",
            kind="stand-in",
            launch=Launch(command=command, directory=str(tmp_path)),
            ready=ready.as_uri(),
            address="",
            needs=needs,
            **{"ports": (), **options},
        )

    return made


def test_needs_come_first(launcher: Launcher, part: Parts) -> None:
    """A part starts when what it needs is ready, wherever it stands in the list."""
    observer = Listener()
    parts = [part("gateway", "keycloak", "apexflow"), part("apexflow", "kafka"), part("kafka"), part("keycloak")]

    bring_up(parts, ready=(), launcher=launcher, observer=observer)

    order = [line.split()[0] for line in observer.lines]
    assert sorted(order) == ["apexflow", "gateway", "kafka", "keycloak"]
    assert order.index("kafka") < order.index("apexflow") < order.index("gateway") == 3
    starts = {name: record.started_at for name in order if (record := launcher.record(name))}
    assert starts["kafka"] <= starts["apexflow"] <= starts["gateway"]


def test_a_need_that_is_there_already(launcher: Launcher, part: Parts) -> None:
    """Single parts come up beside those that run."""
    bring_up([part("apexflow", "kafka")], ready={"kafka"}, launcher=launcher, observer=NullObserver())

    assert launcher.names() == ("apexflow",)


def test_a_part_that_exits(launcher: Launcher, part: Parts) -> None:
    """It is named with its exit code, the last lines of its log and the log's place; the wait is over at once."""
    broken = part("sink", "kafka", code="print('line one'); raise SystemExit('KAFKA_BOOTSTRAP is missing')")

    with pytest.raises(RunbookError) as caught:
        bring_up([part("kafka"), broken], ready=(), launcher=launcher, observer=NullObserver())

    assert caught.value.seen == "sink did not come up: it exited with code 1\n  line one\n  KAFKA_BOOTSTRAP is missing"
    assert caught.value.where == str(launcher.log_file("sink"))


def test_every_part_that_does_not_come_up_is_named_and_the_others_run_on(launcher: Launcher, part: Parts) -> None:
    """Two that exit, and one that needs the first: what needs neither is started and ready."""
    kafka = part("kafka", code="raise SystemExit('no disk')")
    grafana = part("grafana", code="raise SystemExit('no port')")
    observer = Listener()

    with pytest.raises(RunbookError) as caught:
        bring_up(
            [part("sink", "kafka"), kafka, grafana, part("gateway", "keycloak"), part("keycloak")],
            ready=(),
            launcher=launcher,
            observer=observer,
        )

    assert sorted(caught.value.seen.splitlines()) == [
        "  no disk",
        "  no port",
        "grafana did not come up: it exited with code 1",
        "kafka did not come up: it exited with code 1",
        "sink was not started: it needs kafka",
    ]
    assert {str(launcher.log_file("kafka")), str(launcher.log_file("grafana"))} == {*caught.value.where.split(", ")}
    assert sorted(line.split()[0] for line in observer.lines) == ["gateway", "keycloak"]
    assert [name for name in launcher.names() if (one := launcher.record(name)) and launcher.process(one)] == [
        "gateway",
        "keycloak",
    ]


def test_a_part_that_a_signal_stopped_is_not_ready(launcher: Launcher, part: Parts, until: Until) -> None:
    """Though what shows its readiness is there: a file, or a port at which the kernel connects."""
    kafka = part("kafka")
    bring_up([kafka], ready=(), launcher=launcher, observer=NullObserver())
    assert missing_of(kafka, launcher) == ""

    launcher.suspend("kafka")

    until(lambda: missing_of(kafka, launcher) == "stopped by a signal (SIGSTOP)")
    launcher.resume("kafka")
    until(lambda: missing_of(kafka, launcher) == "")


def test_a_part_that_never_gets_ready(launcher: Launcher, part: Parts) -> None:
    """When the patience with the slowest is over, the one that is missing is named, not those that wait for it."""
    silent = part("kafka", code="import signal; signal.pause()", patience_s=0.3)

    with pytest.raises(RunbookError) as caught:
        bring_up([silent, part("sink", "kafka", patience_s=0.1)], ready=(), launcher=launcher, observer=NullObserver())

    assert caught.value.seen.startswith("kafka did not come up: ")
    assert "its log is empty" in caught.value.seen


def test_a_port_that_is_taken(launcher: Launcher, part: Parts) -> None:
    """A stranger on the part's port would answer in its name: the part is not started at all."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(RunbookError) as caught:
            bring_up([part("grafana", ports=(port,))], ready=(), launcher=launcher, observer=NullObserver())

    assert caught.value.where == f"127.0.0.1:{port}"
    assert launcher.names() == ()
