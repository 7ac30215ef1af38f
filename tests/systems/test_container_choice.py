"""Which container is meant: the one of that exact name, else the only one of the compose service, else an error."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from runbook.errors import AnswerError
from runbook.systems.docker import client
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.docker.wire import Listed
from runbook.systems.runtime import Service
from runbook.systems.runtime_settings import RuntimeSettings
from tests.small_engine import Engine

GRAFANA = Service(name="grafana", container="aether-grafana", setting="RUNBOOK_GRAFANA_CONTAINER")
SERVICE, ONE_OFF, PROJECT = (f"com.docker.compose.{what}" for what in ("service", "oneoff", "project"))


@dataclass(frozen=True, slots=True)
class Container:
    """One container of an engine; `alias` is what a legacy link calls it inside another container."""

    name: str
    state: str = "running"
    labels: dict[str, str] = field(default_factory=dict)
    alias: str = ""

    @property
    def runs_grafana(self) -> bool:
        return self.labels.get(SERVICE) == "grafana" and self.labels.get(ONE_OFF) != "True"


def of_compose(name: str, project: str = "shop", state: str = "running", one_off: str = "False") -> Container:
    return Container(name, state, {SERVICE: "grafana", PROJECT: project, ONE_OFF: one_off})


NAMES = (
    "aether-grafana",
    "shop-grafana-1",
    "shop-grafana-2",
    "shop-grafana-run-3f2a",
    "0b1c2d3e4f5a_aether-grafana",
    "aether-grafana-old",
    "Aether-Grafana",
    "grafana",
)
LABELS = st.fixed_dictionaries(
    {},
    optional={
        SERVICE: st.sampled_from(("grafana", "grafana", "Grafana", "prometheus")),
        PROJECT: st.sampled_from(("shop", "aether")),
        ONE_OFF: st.sampled_from(("True", "False")),
    },
)
CONTAINERS = st.builds(
    Container,
    name=st.sampled_from(NAMES),
    state=st.sampled_from(("running", "exited", "paused", "created", "restarting")),
    labels=LABELS,
    alias=st.sampled_from(("", "", "/web/aether-grafana", "/web/grafana")),
)
ARRANGEMENTS = st.lists(CONTAINERS, max_size=5, unique_by=lambda one: one.name)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "d.sock")
    yield made
    made.stop()


@pytest.fixture
def docker(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DockerRuntime]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    runtime = DockerRuntime(RuntimeSettings(docker_host=engine.url), timeout_s=5)
    yield runtime
    runtime.close()


def arrange(engine: Engine, containers: Sequence[Container]) -> None:
    engine.containers.clear()
    engine.requests.clear()
    for one in containers:
        aliases = (one.alias,) if one.alias else ()
        engine.has(one.name, state=one.state, labels=one.labels, aliases=aliases)


def restarted(engine: Engine) -> list[str]:
    """Return the names of the containers that the engine was told to restart."""
    ids = [path.split("/")[2] for method, path, _ in engine.requests if method == "POST" and path.endswith("/restart")]
    return [one["Names"][-1].removeprefix("/") for number in ids for one in engine.containers if one["Id"] == number]


def judge(engine: Engine, docker: DockerRuntime, containers: Sequence[Container], service: Service = GRAFANA) -> None:
    """Restart the service, and compare what was touched and what was told with what the rule says."""
    arrange(engine, containers)
    exact = [one.name for one in containers if one.name == "aether-grafana"]
    of_service = [one.name for one in containers if one.runs_grafana]
    meant = exact or of_service
    if len(meant) == 1:
        docker.restart(service, timeout_s=1)
        state = docker.state(service)
        assert (restarted(engine), state.found, state.name) == (meant, True, meant[0])
        assert docker.start_command(service).endswith(f" {meant[0]}")
        assert docker.log_command(service).endswith(f" {meant[0]}")
        return
    with pytest.raises(AnswerError) as caught:
        docker.restart(service, timeout_s=1)
    assert restarted(engine) == []
    if not meant:
        assert (caught.value.code, docker.state(service).found) == ("no_container", False)
        return
    assert caught.value.code == "several_containers"
    assert all(f"{name} (" in caught.value.seen for name in meant)
    assert "RUNBOOK_GRAFANA_CONTAINER" in caught.value.fix
    for ask in (docker.state, docker.mounts, docker.start_command, docker.log_command):
        with pytest.raises(AnswerError, match="run the compose service grafana"):
            ask(service)


def prove(engine: Engine, docker: DockerRuntime) -> None:
    """Judge generated arrangements; the same ones every time."""

    @settings(max_examples=150, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(containers=ARRANGEMENTS)
    def judged(containers: list[Container]) -> None:
        judge(engine, docker, containers)

    judged()


def test_what_is_touched_is_what_is_meant_and_what_is_told(engine: Engine, docker: DockerRuntime) -> None:
    """An exact name first; a compose label where it leads to one container; else an error that lists them."""
    prove(engine, docker)


def by_label_first(listed: Sequence[Listed], service: Service) -> tuple[Listed, ...]:
    """Choose as this project once did, and so restarted another project's Grafana."""
    labelled = [one for one in listed if one.service == service.name]
    named = [one for one in listed if one.name == service.container]
    chosen = max(
        labelled or named,
        key=lambda one: (one.name == service.container, one.state == "running", one.created),
        default=None,
    )
    return (chosen,) if chosen else ()


def the_running_one(listed: Sequence[Listed], service: Service) -> tuple[Listed, ...]:
    named = [one for one in listed if one.name == service.container]
    labelled = sorted((one for one in listed if one.service == service.name), key=lambda one: one.state != "running")
    return tuple(named or labelled[:1])


def with_one_off_containers(listed: Sequence[Listed], service: Service) -> tuple[Listed, ...]:
    named = [one for one in listed if one.name == service.container]
    return tuple(named or [one for one in listed if (one.labels or {}).get(SERVICE) == service.name])


def by_any_alias(listed: Sequence[Listed], service: Service) -> tuple[Listed, ...]:
    named = [one for one in listed if any(name.endswith(f"/{service.container}") for name in one.names or ())]
    return tuple(named or [one for one in listed if one.service == service.name])


def by_a_part_of_the_name(listed: Sequence[Listed], service: Service) -> tuple[Listed, ...]:
    named = [one for one in listed if service.container in one.name]
    return tuple(named or [one for one in listed if one.service == service.name])


@pytest.mark.parametrize(
    "broken", [by_label_first, the_running_one, with_one_off_containers, by_any_alias, by_a_part_of_the_name]
)
def test_a_wrong_choice_is_caught(
    engine: Engine,
    docker: DockerRuntime,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[Sequence[Listed], Service], tuple[Listed, ...]],
) -> None:
    monkeypatch.setattr(client, "matching", broken)

    with pytest.raises((AssertionError, AnswerError, pytest.fail.Exception)):  # whichever arrangement comes first
        prove(engine, docker)


@pytest.mark.parametrize(
    "containers",
    [
        pytest.param(
            [of_compose("shop-grafana-1"), Container("aether-grafana", "exited")], id="another project's runs"
        ),
        pytest.param([of_compose("shop-grafana-1"), of_compose("aether-grafana", "aether")], id="both of compose"),
        pytest.param([of_compose("aether-grafana-1", "aether")], id="a name of compose's own"),
        pytest.param([of_compose("a-grafana-1"), of_compose("a-grafana-2")], id="scaled"),
        pytest.param([of_compose("old", state="exited"), of_compose("new")], id="a stopped one beside it"),
        pytest.param([of_compose("g-run-1", one_off="True"), of_compose("grafana-1")], id="a one-off task beside it"),
        pytest.param([of_compose("g-run-1", one_off="True")], id="a one-off task alone"),
        pytest.param([Container("web", alias="/db/aether-grafana")], id="an alias of a link"),
        pytest.param([], id="an empty engine"),
    ],
)
def test_situations_of_the_field(engine: Engine, docker: DockerRuntime, containers: list[Container]) -> None:
    judge(engine, docker, containers)


def test_a_name_may_be_set_with_the_slash_that_docker_inspect_prints(engine: Engine, docker: DockerRuntime) -> None:
    with_slash = Service(name="grafana", container="/aether-grafana", setting="RUNBOOK_GRAFANA_CONTAINER")

    judge(engine, docker, [of_compose("shop-grafana-1"), Container("aether-grafana")], with_slash)


def test_several_containers_are_listed_with_what_tells_them_apart(engine: Engine, docker: DockerRuntime) -> None:
    arrange(engine, [of_compose("shop-grafana-1"), of_compose("old", "aether", "exited"), Container("postgres")])

    with pytest.raises(AnswerError) as caught:
        docker.state(GRAFANA)

    assert caught.value.seen == (
        "2 containers run the compose service grafana, and none is called aether-grafana: "
        "shop-grafana-1 (running, project shop), old (exited, project aether)"
    )
    assert caught.value.fix == "set RUNBOOK_GRAFANA_CONTAINER to the name of the one that is meant"
