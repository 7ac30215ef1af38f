"""What Podman answers otherwise than Docker does, as recorded from 4.3 (Debian 12), against a small engine.

The real one is met in tests/contracts/test_contract_runtime.py and tests/docker/test_podman.py.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook.errors import AnswerError
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.runtime import LogLine, Service
from runbook.systems.runtime_settings import RuntimeSettings
from tests.small_engine import STDERR, STDOUT, Engine, frames, inspected, stat

PROMETHEUS = Service(name="prometheus", container="aether-prom")


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "podman.sock")
    made.api_version = "1.41"
    made.program = "Podman Engine"
    yield made
    made.stop()


@pytest.fixture
def runtime(podman: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DockerRuntime]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    made = DockerRuntime(RuntimeSettings(docker_host=podman.url), timeout_s=5)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("state", "restarts", "expected"),
    [
        ("configured", 0, ("created", None, "start")),
        ("initialized", 0, ("created", None, "start")),
        ("running", 0, ("running", None, "restart")),
        ("stopping", 0, ("running", None, "restart")),
        ("stopped", 0, ("exited", 1, "start")),
        ("stopped", 55, ("restarting", 1, "start")),
        ("exited", 55, ("exited", 1, "start")),
        ("paused", 0, ("paused", None, "unpause")),
    ],
)
def test_words_of_podman_for_a_state_are_dockers(
    podman: Engine, runtime: DockerRuntime, state: str, restarts: int, expected: tuple[str, int | None, str]
) -> None:
    """Checks decide on Docker's words; a container in a loop is "stopped" for most of the time."""
    podman.has("aether-prom", state=state, inspection=inspected(status=state, ExitCode=1) | {"RestartCount": restarts})

    found = runtime.state(PROMETHEUS)

    verb = runtime.start_command(PROMETHEUS).split()[-2]
    assert (found.status, found.exit_code, verb) == expected


def test_a_container_without_a_health_check_has_an_empty_health(podman: Engine, runtime: DockerRuntime) -> None:
    podman.has("aether-prom", inspection=inspected(Health={"Status": "", "FailingStreak": 0, "Log": None}))

    found = runtime.state(PROMETHEUS)

    assert (found.health, found.probe_said) == ("", "")


def test_labels_of_podman_compose_lead_to_a_container(podman: Engine, runtime: DockerRuntime) -> None:
    """Where both programs have labelled it, Docker's counts; a second candidate is listed with its project."""
    labels = {"io.podman.compose.service": "prometheus", "io.podman.compose.project": "monitoring"}
    podman.has("monitoring_prometheus_1", labels=labels)
    assert runtime.state(PROMETHEUS).name == "monitoring_prometheus_1"

    podman.has("other", labels=labels | {"com.docker.compose.service": "grafana"})
    assert runtime.state(PROMETHEUS).name == "monitoring_prometheus_1"

    podman.has("second", labels=labels | {"io.podman.compose.project": "shop"})
    with pytest.raises(AnswerError, match=r"second \(running, project shop\)"):
        runtime.state(PROMETHEUS)


def test_ports_of_a_container_that_has_ended_are_none(podman: Engine, runtime: DockerRuntime) -> None:
    ports = {"NetworkSettings": {"Networks": {}, "Ports": {"9090/tcp": [{"HostIp": "", "HostPort": "9090"}]}}}
    podman.has("aether-prom", inspection=inspected(status="running") | ports)
    assert len(runtime.published(PROMETHEUS)) == 1

    podman.inspections["0" * 64] |= inspected(status="exited", ExitCode=0) | ports

    assert runtime.published(PROMETHEUS) == ()


def test_lines_that_were_written_in_pieces_are_whole(podman: Engine, runtime: DockerRuntime) -> None:
    """Each piece has a time of its own, and the pieces of both streams come mixed."""
    podman.logs[podman.has("aether-prom")] = frames(
        (STDOUT, b"2026-11-27T23:52:00Z line"),
        (STDERR, b"2026-11-27T23:52:00Z a warning"),
        (STDOUT, b"2026-11-27T23:52:00Z  "),
        (STDOUT, b"2026-11-27T23:52:01Z 233"),
        (STDERR, b"2026-11-27T23:52:01Z \n"),
        (STDOUT, b"2026-11-27T23:52:01Z \n"),
        (STDOUT, b"2026-11-27T23:52:02Z 2026-11-27T23:52:02Z of its own\n"),
        (STDOUT, b"2026-11-27T23:52:03Z not yet at its end"),
    )
    at = datetime(2026, 11, 27, 23, 52, tzinfo=UTC)

    lines = runtime.log(PROMETHEUS)

    assert lines == (
        LogLine(text="a warning", at=at),
        LogLine(text="line 233", at=at),
        LogLine(text="2026-11-27T23:52:02Z of its own", at=at.replace(second=2)),
        LogLine(text="not yet at its end", at=at.replace(second=3)),
    )
    assert tuple(runtime.follow(PROMETHEUS)) == lines


def test_a_long_line_of_docker_is_whole(podman: Engine, runtime: DockerRuntime) -> None:
    """Docker cuts at 16 KB, and gives the second piece a time as well."""
    podman.program = "Engine"
    first, second = b"x" * 16_384, b"y" * 100
    podman.logs[podman.has("aether-prom")] = frames(
        (STDOUT, b"2025-11-03T19:48:51.465169123Z " + first),
        (STDOUT, b"2025-11-03T19:48:51.465169123Z " + second + b"\n"),
    )

    assert [line.text for line in runtime.log(PROMETHEUS)] == [(first + second).decode()]


@pytest.mark.parametrize(("lines", "asked"), [(3, [True]), (2, [True, False])])
def test_the_last_lines_are_counted_here(podman: Engine, runtime: DockerRuntime, lines: int, asked: list[bool]) -> None:
    """Podman's `tail` loses pieces. The last hour is read, and all of the log where that has too few."""
    written = [(STDOUT, b"2026-11-27T23:52:00Z line"), (STDOUT, b"2026-11-27T23:52:00Z \n")] * lines
    podman.logs[podman.has("aether-prom")] = frames(*written)

    assert [line.text for line in runtime.log(PROMETHEUS, tail=3)] == ["line"] * lines

    queries = [query for _, path, query in podman.requests if path.endswith("/logs")]
    assert [("since" in query) for query in queries] == asked
    assert {query["tail"][0] for query in queries} == {"all"}


def test_an_empty_archive_is_an_error_and_not_a_defect(podman: Engine, runtime: DockerRuntime) -> None:
    """What it sends of a container that starts at that moment."""
    number = podman.has("aether-prom", state="exited")
    podman.files[number, "/x"] = (200, b"", stat("x"))

    with pytest.raises(AnswerError, match="sent no archive of /x in aether-prom") as caught:
        runtime.file_inside(PROMETHEUS, "/x")

    assert caught.value.code == "shape"
