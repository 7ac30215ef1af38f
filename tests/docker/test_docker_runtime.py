"""What Docker alone has, on a real engine; what every runtime has is in tests/contracts."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice

import pytest

from runbook.errors import AnswerError
from runbook.local_stack.engine import docker
from runbook.systems.docker import sdk
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.runtime import Service, ServiceState
from runbook.systems.runtime_settings import RuntimeSettings
from tests.containers import Starting
from tests.engine_at_a_port import engine_at_a_port

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

StateOf = Callable[[Service, Callable[[ServiceState], bool]], ServiceState]
ENDLESS = "import signal; print('up'); signal.pause()"


def ended(state: ServiceState) -> bool:
    return state.status == "exited"


def test_container_is_found_by_its_name_then_by_a_label_that_leads_to_it_alone(
    runtime: DockerRuntime, started: Starting
) -> None:
    by_hand = started(ENDLESS)
    label = ("--label", f"com.docker.compose.service={by_hand.name}")
    labelled = started(ENDLESS, *label)
    renamed = Service(name=by_hand.name, container="none", setting="RUNBOOK_SINK_CONTAINER")

    assert runtime.state(by_hand).name == by_hand.name
    assert runtime.state(renamed).name == labelled.name

    second = started(ENDLESS, *label)
    with pytest.raises(AnswerError, match=rf"{second.name} \(running\)") as caught:
        runtime.restart(renamed, timeout_s=1)
    assert (caught.value.code, labelled.name in caught.value.seen) == ("several_containers", True)


def test_container_killed_for_memory_is_told_from_one_that_was_killed(started: Starting, state_of: StateOf) -> None:
    """137 alone is only SIGKILL."""
    greedy = started("x = bytearray(200_000_000)", "--memory", "24m", "--memory-swap", "24m")
    killed = started(ENDLESS)
    docker("kill", killed.name)

    assert (state_of(greedy, ended).out_of_memory, state_of(greedy, ended).exit_code) == (True, 137)
    assert (state_of(killed, ended).out_of_memory, state_of(killed, ended).exit_code) == (False, 137)


def test_looping_container_counts_its_restarts(started: Starting, state_of: StateOf) -> None:
    looping = started("raise SystemExit(1)", "--restart", "always")

    state = state_of(looping, lambda state: state.restart_count >= 2 and state.status == "restarting")

    assert state.exit_code == 1


def test_unhealthy_container_is_told_from_one_that_cannot_be_probed(started: Starting, state_of: StateOf) -> None:
    often = ("--health-interval", "1s", "--health-retries", "1")
    sick = started(ENDLESS, "--health-cmd", "echo not today; exit 1", *often)
    unprobed = started(ENDLESS, "--health-cmd", "curl -f http://127.0.0.1/", *often)

    found = state_of(sick, lambda state: state.health == "unhealthy")
    assert (found.is_running, found.probe_said, found.probe_is_missing) == (True, "exit code 1: not today", False)
    found = state_of(unprobed, lambda state: state.health == "unhealthy")
    assert (found.is_running, found.probe_is_missing) == (True, True)
    assert "curl" in found.probe_said


def test_log_holds_both_streams_since_a_time(runtime: DockerRuntime, started: Starting, state_of: StateOf) -> None:
    code = "import sys; print('Received lead.created'); print('ä warning', file=sys.stderr)"
    service = started(code)
    state_of(service, ended)

    lines = runtime.log(service)

    assert {"Received lead.created", "ä warning"} == {line.text for line in lines}
    assert all(line.at is not None for line in lines)
    assert runtime.log(service, since=datetime.now(UTC)) == ()
    assert len(runtime.log(service, tail=1)) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_log_is_followed_line_by_line(runtime: DockerRuntime, started: Starting, *, terminal: bool) -> None:
    """With a terminal the engine sends no frames, and ends lines as terminals do."""
    code = "import threading\nfor n in range(3): print('line', n); threading.Event().wait(0.2)"
    service = started(code, *(("--tty",) if terminal else ()))

    assert [line.text for line in runtime.follow(service)] == ["line 0", "line 1", "line 2"]


@pytest.fixture
def address_of_the_engine(runtime: DockerRuntime) -> Iterator[str]:
    runtime.state(Service(name="none", container="none"))  # it answers
    with engine_at_a_port() as address:
        yield address


@pytest.mark.parametrize("version", [None, "1.40"])
def test_engine_at_a_tcp_port_answers_like_the_one_at_its_socket(
    address_of_the_engine: str, started: Starting, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """All kinds of questions: list, inspection, log, a stream, a command, an archive; in an older version, too."""
    if version:
        monkeypatch.setattr(sdk, "EngineClient", partial(sdk.EngineClient, version=version))
    service = started(f"open('/tmp/x', 'w').write('inside'); {ENDLESS}")
    monkeypatch.setenv("DOCKER_HOST", address_of_the_engine)
    with contextlib.closing(DockerRuntime(RuntimeSettings())) as remote:
        assert [line.text for line in islice(remote.follow(service), 1)] == ["up"]
        assert (remote.state(service).is_running, remote.networks(service)) == (True, frozenset({"none"}))
        assert (remote.published(service), remote.mounts(service)) == ((), ())
        assert remote.file_inside(service, "/tmp/x") == b"inside"  # noqa: S108 - of the container
        remote.restart(service, timeout_s=1)
        assert remote.state(service).is_running
        docker("kill", service.name)
        assert remote.file_inside(service, "/tmp/x") == b"inside"  # noqa: S108 - of the container
