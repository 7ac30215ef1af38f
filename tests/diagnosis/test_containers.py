"""Every service's container in every state, as the engine tells it: one name, at its hop, and what is typed then."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from runbook.diagnosis.catalogue import GRAPH
from runbook.diagnosis.checks import alertmanager, gateway, grafana, kafka
from runbook.diagnosis.fact_cache import Key
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.verdict import verdict
from runbook.model import CheckResult, Verdict
from runbook.settings import Target
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.runtime import Service
from runbook.systems.runtime_settings import RuntimeSettings
from tests.diagnosis.recorded import (
    ALERTMANAGER,
    APEXFLOW,
    DATABASE,
    GATEWAY,
    GRAFANA,
    HEALTHY,
    KAFKA,
    KEYCLOAK,
    NOW,
    PROMETHEUS,
    PROXY,
    SINK,
    TARGET,
    Change,
    Recorded,
    given,
    probe,
    silent,
)
from tests.diagnosis.test_settled_state import Clock
from tests.small_engine import STDOUT, Engine, frames, inspected

T = TypeVar("T")

NEW = "2025-11-03T19:48:51.465169123Z"
MIB = 1024 * 1024
SILENCE: dict[Service, tuple[str, Change]] = {
    KEYCLOAK: ("keycloak", silent(Facts.realm, Facts.token)),
    PROXY: ("proxy", silent(gateway.unauthenticated_answer, gateway.probe)),
    GATEWAY: ("gateway", given(gateway.unauthenticated_answer, probe(502)) | given(gateway.probe, probe(502))),
    APEXFLOW: ("apexflow", given(gateway.probe, probe(502))),
    DATABASE: ("database", given(gateway.probe, probe(500))),
    KAFKA: ("kafka", silent(kafka.cluster)),
    SINK: ("sink", silent(Facts.page)),
    PROMETHEUS: ("prometheus", silent(Facts.prometheus_ready)),
    GRAFANA: ("grafana", silent(Facts.grafana_health, grafana.dashboard)),
    ALERTMANAGER: ("alertmanager", silent(Facts.alertmanager_ready, alertmanager.silences)),
}
"""Each service with its hop, and what is seen of it from outside when it does not serve."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What an inspection says, at the second look too unless `later` says more; and what has to be told of it."""

    code: str
    says: str
    fix: str
    first: dict[str, Any]
    later: list[dict[str, Any]] = field(default_factory=list)
    is_silent: bool = True


def ended(status: str = "exited", code: int = 137, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - of an inspection
    return inspected(status=status, ExitCode=code, **more)


def again(count: int, **state: Any) -> dict[str, Any]:  # noqa: ANN401 - of an inspection
    return inspected(**state) | {"RestartCount": count}


MORE = "docker update --memory 134217728 --memory-swap 268435456 {0}"
LIMITED = {"HostConfig": {"Memory": 64 * MIB}}
STATES = {
    "paused": State(code="CTR_PAUSED", says="paused", fix="docker unpause {0}", first=inspected(status="paused")),
    "killed": State(code="CTR_EXITED", says="exited, exit code 137", fix="docker start {0}", first=ended()),
    "ended well": State(code="CTR_EXITED", says="exited, exit code 0", fix="docker start {0}", first=ended(code=0)),
    "ended by itself": State(
        code="CTR_EXITED",
        says="its last word",
        fix="docker start {0}; if it ends again, correct what its last line says",
        first=ended(code=1),
    ),
    "never started": State(
        code="CTR_EXITED",
        says="created",
        fix="docker start {0}",
        first=inspected(status="created", StartedAt="0001-01-01T00:00:00Z"),
    ),
    "could not be started": State(
        code="CTR_EXITED",
        says="port is already allocated",
        fix="correct what kept it from starting, then docker start {0}",
        first=inspected(status="created", Error="driver failed: port is already allocated"),
    ),
    "dead": State(
        code="CTR_EXITED",
        says="dead",
        fix="docker rm --force {0}, then docker compose up -d {1}",
        first=ended("dead"),
    ),
    "being removed": State(
        code="CTR_EXITED",
        says="removing",
        fix="docker rm --force {0}, then docker compose up -d {1}",
        first=inspected(status="removing"),
    ),
    "out of memory": State(
        code="CTR_OOM",
        says="out of memory",
        fix=f"{MORE}, then docker start {{0}}; and raise its limit of 64 MiB in its compose file",
        first=ended(OOMKilled=True) | LIMITED,
    ),
    "out of the host's memory": State(
        code="CTR_OOM",
        says="out of memory",
        fix="give the engine's host more memory, then docker start {0}",
        first=ended(OOMKilled=True),
    ),
    "out of memory again and again": State(
        code="CTR_OOM",
        says="restarting, exit code 137, out of memory",
        fix=f"{MORE}, then docker restart {{0}}; and raise its limit of 64 MiB in its compose file",
        first=ended("restarting", OOMKilled=True) | LIMITED,
    ),
    "ended after a child that was out of memory": State(
        code="CTR_EXITED",
        says="exited, exit code 0",
        fix="docker start {0}",
        first=ended(code=0, OOMKilled=True) | LIMITED,
    ),
    "waits for its next start": State(
        code="CTR_LOOP",
        says="its last word",
        fix="correct what its last line says, then docker restart {0}; the lines before it: docker logs --tail 100 {0}",
        first=again(9, status="restarting", ExitCode=1),
    ),
    "starts again between two looks": State(
        code="CTR_LOOP",
        says="restarting, exit code 1",
        fix="correct what its last line says, then docker restart {0}",
        first=again(3, status="restarting", ExitCode=1),
        later=[again(3), again(4, status="restarting", ExitCode=1)],
    ),
    "unhealthy": State(
        code="CTR_UNHEALTHY",
        says="exit code 1: HTTP 503",
        fix="docker logs --tail 100 {0}: its last lines name the cause",
        first=inspected(Health={"Status": "unhealthy", "Log": [{"ExitCode": 1, "Output": "HTTP 503"}]}),
        is_silent=False,
    ),
}

DECOYS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "was out of memory before it was started": (inspected(OOMKilled=True) | LIMITED, []),
    "was restarted once, long ago": (again(1), []),
    "was restarted nine times, long ago": (again(9), []),
    "is restarted once at this moment": (again(1, status="restarting", ExitCode=1), [again(1)]),
    "is started by hand at this moment": (ended(), [inspected()]),
    "is copied at this moment": (inspected(status="paused"), [inspected()]),
    "is healthy again": (inspected(health="healthy", FailingStreak=0), []),
    "is asked for its health the first time": (inspected(health="starting"), []),
}


class OnAnEngine(Recorded):
    """Facts of which those about containers are read from an engine, and the others were read before."""

    READ = frozenset(
        {Facts.state, Facts.log, Facts.start_command, Facts.recreate_command, Facts.log_command, Facts.networks}
    )

    def __init__(self, answers: Change, runtime: DockerRuntime, target: Target = TARGET) -> None:
        Facts.__init__(self, target, runtime, state_dir=Path("/nonexistent"), clock=Clock(), now=lambda: NOW)
        self.answers = answers

    def once(self, key: Key, read: Any) -> Any:  # noqa: ANN401 - of any fact
        return Facts.once(self, key, read) if key[0] in self.READ else super().once(key, read)


@dataclass(frozen=True)
class Installation:
    """The containers of an installation, and what is told of them."""

    engine: Engine
    runtime: DockerRuntime
    ids: dict[Service, str]

    def is_in(self, service: Service, first: dict[str, Any], later: list[dict[str, Any]]) -> None:
        number = self.ids[service]
        network: dict[str, Any] = {"NetworkSettings": {"Networks": {"aether": {}, "monitoring": {}}}}
        self.engine.inspections[number] = first | network
        self.engine.later[number] = [one | network for one in later]
        self.engine.logs[number] = frames((STDOUT, f"{NEW} its last word\n".encode()))

    def told(self, *changes: Change) -> tuple[Verdict, tuple[Verdict, ...], list[CheckResult]]:
        facts = dict(HEALTHY)
        for change in changes:
            facts |= change
        examined = GRAPH.examine(OnAnEngine(facts, self.runtime.at_one_look()), deadline_s=30)
        return *verdict(examined), [one.result for one in examined]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    engine = Engine(tmp_path / "d.sock")
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    ids = {service: engine.has(service.container, service=service.name) for service in SILENCE}
    with closing(DockerRuntime(RuntimeSettings())) as runtime:
        made = Installation(engine, runtime, ids)
        for service in SILENCE:
            made.is_in(service, inspected(), [])
        yield made
    engine.stop()


@pytest.mark.parametrize("service", SILENCE, ids=lambda service: service.name)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_every_service_is_looked_at_alike(installed: Installation, service: Service, state: State) -> None:
    """One name, at the hop of the service, with the state as evidence and a command that works from it."""
    hop, unanswered = SILENCE[service]
    installed.is_in(service, state.first, state.later)

    judged, also, results = installed.told(unanswered if state.is_silent else {})

    assert (judged.code, also) == (state.code, ())
    assert [result.hop for result in results if result.status == "broken"] == [hop]
    assert state.says in " ".join(f"{one.source} {one.saw}" for one in judged.evidence)
    fix = state.fix.format(service.container, service.name)
    assert judged.fix.startswith(fix)


@pytest.mark.parametrize("service", SILENCE, ids=lambda service: service.name)
@pytest.mark.parametrize("decoy", DECOYS.values(), ids=DECOYS)
def test_what_has_passed_is_no_fault(
    installed: Installation, service: Service, decoy: tuple[dict[str, Any], list[dict[str, Any]]]
) -> None:
    """A mark of an earlier start, a moment that is over at the second look: the installation is healthy."""
    installed.is_in(service, *decoy)

    judged, also, _ = installed.told()

    assert (judged.outcome, judged.code, also) == ("healthy", "", ())


@pytest.mark.parametrize("service", SILENCE, ids=lambda service: service.name)
def test_a_service_that_answers_from_elsewhere_is_healthy(installed: Installation, service: Service) -> None:
    """Its container is gone or was stopped, another one has a name like it, and what answers is what is used."""
    listed = next(one for one in installed.engine.containers if one["Id"] == installed.ids[service])
    listed |= {"Names": [f"/{service.container}-old"], "Labels": {}, "State": "exited"}
    assert installed.told()[0].outcome == "healthy"

    listed |= {"Names": [f"/{service.container}"]}
    installed.is_in(service, ended(), [])
    assert installed.told()[0].outcome == "healthy"


@pytest.mark.parametrize(
    "service", [KEYCLOAK, KAFKA, SINK, PROMETHEUS, GRAFANA, ALERTMANAGER], ids=lambda one: one.name
)
def test_a_missing_container_is_named_where_its_address_leads_here(installed: Installation, service: Service) -> None:
    hop, unanswered = SILENCE[service]
    installed.engine.containers[:] = [one for one in installed.engine.containers if one["Id"] != installed.ids[service]]

    judged, also, results = installed.told(unanswered)

    assert (judged.code, judged.fix, also) == ("CTR_MISSING", f"docker compose up -d {service.name}", ())
    assert [result.hop for result in results if result.status == "broken"] == [hop]


def test_containers_are_listed_once_and_a_healthy_one_is_looked_at_once(installed: Installation) -> None:
    """However many checks ask; a second look at every container would make a healthy walk slower."""
    assert installed.told()[0].outcome == "healthy"

    asked = [path for _, path, _ in installed.engine.requests]
    assert asked.count("/containers/json") == 1
    assert {number: asked.count(f"/containers/{number}/json") for number in installed.ids.values()} == dict.fromkeys(
        installed.ids.values(), 1
    )


def test_a_line_of_an_earlier_start_is_not_read(installed: Installation) -> None:
    """What the engine is asked for begins where the start before this one ended."""
    started = datetime(2025, 11, 3, 19, 48, 51, 465169, tzinfo=UTC)
    ago = started - timedelta(seconds=0.25)
    installed.is_in(SINK, inspected(FinishedAt=ago.isoformat()), [])

    OnAnEngine({}, installed.runtime).log(SINK)

    assert installed.engine.asked("logs")["since"] == [str(ago.timestamp())]
    installed.is_in(SINK, inspected(FinishedAt=(started - timedelta(days=1)).isoformat()), [])
    OnAnEngine({}, installed.runtime).log(SINK)
    assert installed.engine.asked("logs")["since"] == [str(started.timestamp() - 1)]


def test_a_project_that_is_written_on_the_container_is_typed(installed: Installation) -> None:
    """`docker compose` finds its file in the working directory alone, and its name there."""
    labels = {
        "com.docker.compose.service": "kafka",
        "com.docker.compose.project": "aether",
        "com.docker.compose.project.config_files": "compose.yaml,/srv/more.yaml",
        "com.docker.compose.project.working_dir": "/srv/my stack",
    }
    next(one for one in installed.engine.containers if one["Id"] == installed.ids[KAFKA])["Labels"] = labels

    command = installed.runtime.recreate_command(KAFKA)

    project = "--project-name aether --file '/srv/my stack/compose.yaml' --file /srv/more.yaml"
    assert command == f"docker compose {project} up -d --force-recreate kafka"
