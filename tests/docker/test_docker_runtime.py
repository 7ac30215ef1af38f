"""The Docker runtime on a real engine: every state that a diagnosis rests on, made for real in small containers."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

import pytest
from conftest import Starting

from runbook.clients.docker import DockerRuntime
from runbook.clients.runtime import Service, ServiceState
from runbook.stack.engine import docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

StateOf = Callable[[Service, Callable[[ServiceState], bool]], ServiceState]
RULES = "/srv/rules.yml"
ENDLESS = "import signal; print('up'); signal.pause()"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); print('up')\nwhile True: signal.pause()"
POLITE = """
import signal, threading
end = threading.Event()
signal.signal(15, lambda *_: end.set())
print('up'); end.wait(); threading.Event().wait(1.2); print('tidied up')
"""


def ended(state: ServiceState) -> bool:
    return state.status == "exited"


def up(runtime: DockerRuntime, service: Service) -> bool:
    return any(line.text == "up" for line in runtime.log(service))


def test_container_is_found_by_its_label_whatever_its_name(runtime: DockerRuntime, started: Starting) -> None:
    by_hand = started(ENDLESS)
    labelled = started(ENDLESS, "--label", f"com.docker.compose.service={by_hand.name}")

    assert runtime.state(by_hand).name == labelled.name
    assert runtime.state(Service(name="none", container=by_hand.name)).name == by_hand.name


def test_mistyped_container_has_a_nearest_name(runtime: DockerRuntime, started: Starting) -> None:
    there = started(ENDLESS)
    mistyped = Service(name=there.name[:-1], container=there.name[:-1])

    state = runtime.state(mistyped)

    assert (state.found, state.nearest[0]) == (False, there.name)


def test_exit_code_of_an_ended_container(runtime: DockerRuntime, started: Starting, state_of: StateOf) -> None:
    state = state_of(started("raise SystemExit(3)"), ended)

    assert (state.exit_code, state.oom_killed, state.is_running) == (3, False, False)
    assert runtime.start_command(Service(name=state.name, container=state.name)) == f"docker start {state.name}"


def test_container_killed_for_memory_is_told_from_one_that_was_killed(started: Starting, state_of: StateOf) -> None:
    """137 alone is only SIGKILL."""
    greedy = started("x = bytearray(200_000_000)", "--memory", "24m", "--memory-swap", "24m")
    killed = started(ENDLESS)
    docker("kill", killed.name)

    assert (state_of(greedy, ended).oom_killed, state_of(greedy, ended).exit_code) == (True, 137)
    assert (state_of(killed, ended).oom_killed, state_of(killed, ended).exit_code) == (False, 137)


def test_looping_container_counts_its_restarts(started: Starting, state_of: StateOf) -> None:
    looping = started("raise SystemExit(1)", "--restart", "always")

    state = state_of(looping, lambda state: state.restart_count >= 2 and state.status == "restarting")

    assert state.exit_code == 1


def test_frozen_and_unhealthy_containers_have_their_own_states(started: Starting, state_of: StateOf) -> None:
    frozen = started(ENDLESS)
    often = ("--health-interval", "1s", "--health-retries", "1")
    sick = started(ENDLESS, "--health-cmd", "echo not today; exit 1", *often)
    unprobed = started(ENDLESS, "--health-cmd", "curl -f http://127.0.0.1/", *often)
    docker("pause", frozen.name)

    assert not state_of(frozen, lambda state: state.status == "paused").is_running
    found = state_of(sick, lambda state: state.health == "unhealthy")
    assert (found.is_running, found.probe_said, found.probe_is_missing) == (True, "exit code 1: not today", False)
    found = state_of(unprobed, lambda state: state.health == "unhealthy")
    assert (found.is_running, found.probe_is_missing) == (True, True)
    assert "curl" in found.probe_said


def test_restart_waits_for_who_tidies_up_and_forces_who_does_not(
    runtime: DockerRuntime, started: Starting, state_of: StateOf
) -> None:
    polite, stubborn = started(POLITE), started(STUBBORN)
    for service, patience_s in ((polite, 10), (stubborn, 1)):
        before = state_of(service, lambda _, service=service: up(runtime, service)).started_at
        runtime.restart(service, timeout_s=patience_s)
        assert runtime.state(service).started_at != before

    assert "tidied up" in {line.text for line in runtime.log(polite)}
    assert "tidied up" not in {line.text for line in runtime.log(stubborn)}


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


def test_who_follows_may_stop_though_the_container_goes_on(runtime: DockerRuntime, started: Starting) -> None:
    service = started(ENDLESS)
    lines = runtime.follow(service)

    assert [line.text for line in islice(lines, 1)] == ["up"]
    lines.close()

    assert runtime.state(service).is_running


def test_file_inside_is_read_running_and_stopped(runtime: DockerRuntime, started: Starting, state_of: StateOf) -> None:
    service = started(f"open({RULES!r}, 'w').write('groups: []'); {ENDLESS}", "--user", "root")
    state_of(service, lambda _: up(runtime, service))

    running = runtime.file_inside(service, RULES), runtime.file_inside(service, "/none")
    docker("kill", "--signal", str(int(signal.SIGKILL)), service.name)
    state_of(service, ended)
    stopped = runtime.file_inside(service, RULES), runtime.file_inside(service, "/none")

    assert running == stopped == (b"groups: []", None)


def test_networks_of_a_container(runtime: DockerRuntime, started: Starting) -> None:
    """Disjoint sets of networks are what "no such host" comes from."""
    assert runtime.networks(started(ENDLESS)) == {"none"}
