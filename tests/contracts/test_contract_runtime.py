"""What runs the services: processes of the local stack, containers of Docker and of Podman answer alike."""

import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import psutil
import pytest

from runbook.errors import RunbookError, UnreachableError
from runbook.local_stack.engine import docker
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.processes.launcher import Launch, Launcher
from runbook.systems.runtime import Runtime, Service, ServiceState
from runbook.systems.runtime_settings import RuntimeSettings
from tests.containers import images_of_the_stack, small_containers
from tests.contracts.contract_parts import eventually
from tests.podman_engine import Podman, podman_service

# An own time as the sink writes it: a process's line has no other. In one write: the podman program's own --tail loses
# lines that were written in two, as `print` does in the tests below.
UP = """
import signal, datetime, sys
sys.stdout.write(datetime.datetime.now(datetime.UTC).strftime('[%Y-%m-%dT%H:%M:%S.%f] up\\n'))
"""
ENDLESS = f"{UP}\nsignal.pause()"
# The lock is held to the very end: as long as the one before lives, the next one ends at once.
STUBBORN = f"""{UP}
import fcntl
signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = open('{{folder}}/lock', 'w')
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
print('ready')
while True: signal.pause()
"""
POLITE = f"""{UP}
import threading
end = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: end.set())
print('ready'); end.wait(); threading.Event().wait(1.2); print('tidied up')
"""
TALKS = "import threading\nfor n in range(9999): print('line', n); threading.Event().wait(0.05)"
WRITES = f"open('{{path}}', 'w').write('groups: []'); {ENDLESS}"
LISTENS = """
import socket
listener = socket.create_server(('{address}', {port})); print('ready')
while True:
    with listener.accept()[0] as heard: heard.sendall(b'hello')
"""


def heard_here(host: str, port: int) -> bytes:
    with socket.create_connection((host, port), timeout=10) as connection:
        return connection.recv(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """One runtime, and what the test does behind its back: start a few lines of Python, kill and freeze them.

    `folder` is where they may write, `address` and `port` where they listen so that the runtime publishes it, `heard`
    what such a port says first, and `precision_s` how exactly the runtime tells when a line was written.
    """

    runtime: Runtime
    start: Callable[[str], Service]
    kill: Callable[[Service], object]
    freeze: Callable[[Service], object]
    folder: str
    address: str
    port: int
    heard: Callable[[str, int], bytes] = heard_here
    precision_s: int = 0

    def running(self, code: str, says: str = "up") -> Service:
        """Start it and wait for its word."""
        service = self.start(code)
        eventually(lambda: says in " ".join(self.lines(service)) or None, f"{says!r} in the log")
        return service

    def lines(self, service: Service) -> list[str]:
        return [line.text.rpartition("] ")[2] for line in self.runtime.log(service)]

    def state(self, service: Service, wanted: Callable[[ServiceState], bool]) -> ServiceState:
        def probe() -> ServiceState | None:
            state = self.runtime.state(service)
            return state if wanted(state) else None

        return eventually(probe, f"the state of {service.name}")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Player]:
    launcher = Launcher(tmp_path / ".stack")

    def start(code: str) -> Service:
        name = f"part-{len(launcher.names())}"
        launcher.start(name, Launch(command=(sys.executable, "-u", "-S", "-c", code), directory=str(tmp_path)))
        return Service(name=name, container=f"aether-{name}")

    def freeze(service: Service) -> None:
        record = launcher.record(service.name)
        assert record is not None
        psutil.Process(record.pid).suspend()

    yield Player(
        runtime=ProcessRuntime(launcher.root),
        start=start,
        kill=lambda service: launcher.kill(service.name),
        freeze=freeze,
        folder=str(tmp_path),
        address="127.0.0.1",
        port=0,
    )
    launcher.stop_strays(timeout_s=0)


@pytest.fixture(scope="session")
def image() -> str:
    return images_of_the_stack()["SINK_IMAGE"]


@pytest.fixture
def containers(image: str) -> Iterator[Player]:
    with closing(DockerRuntime(RuntimeSettings())) as runtime, small_containers(image) as start:
        yield Player(
            runtime=runtime,
            start=lambda code: start(code, "--publish", "127.0.0.1::8000", network="bridge"),
            kill=lambda service: docker("kill", service.container),
            freeze=lambda service: docker("pause", service.container),
            folder="/tmp",  # noqa: S108 - of the container
            address="0.0.0.0",  # noqa: S104 - of the container
            port=8000,
        )


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with podman_service() as service:
        yield service


@pytest.fixture
def podman_containers(podman: Podman) -> Iterator[Player]:
    with closing(DockerRuntime(RuntimeSettings(docker_host=podman.url))) as runtime:
        yield Player(
            runtime=runtime,
            start=lambda code: podman.start(code, "--publish", "127.0.0.1::8000"),
            kill=lambda service: podman("kill", service.container),
            freeze=lambda service: podman("pause", service.container),
            folder="/tmp",  # noqa: S108 - of the container
            address="0.0.0.0",  # noqa: S104 - of the container
            port=8000,
            heard=podman.heard,
            precision_s=1,
        )
    podman("rm", "--all", "--force", "--time", "0")


ON_AN_ENGINE = (pytest.mark.docker, pytest.mark.timeout(600))


@pytest.fixture(
    params=[
        "processes",
        pytest.param("containers", marks=ON_AN_ENGINE),
        pytest.param("podman_containers", marks=ON_AN_ENGINE),
    ]
)
def player(request: pytest.FixtureRequest) -> Player:
    """The runtime under test."""
    found: Player = request.getfixturevalue(request.param)
    return found


def ended(state: ServiceState) -> bool:
    return state.status == "exited" and state.exit_code is not None


def test_a_running_service_is_found_with_the_time_of_its_start(player: Player) -> None:
    state = player.runtime.state(player.running(ENDLESS))

    assert (state.found, state.status, state.is_running, state.exit_code) == (True, "running", True, None)
    assert state.started_at is not None
    assert abs((datetime.now(UTC) - state.started_at).total_seconds()) < 60


def test_a_missing_service_is_a_state_with_the_nearest_names(player: Player) -> None:
    there = player.running(ENDLESS)
    mistyped = Service(name=f"{there.name}x", container=f"{there.name}x")

    state = player.runtime.state(mistyped)

    assert (state.found, state.is_running, state.nearest[0]) == (False, False, there.name)


def test_a_missing_service_is_an_error_where_one_is_needed(player: Player) -> None:
    """The error names what there is, and how to start it."""
    there = player.running(ENDLESS)
    mistyped = Service(name=f"{there.name}x", container=f"{there.name}x")

    for ask in (lambda: player.runtime.restart(mistyped, timeout_s=1), lambda: player.runtime.published(mistyped)):
        with pytest.raises(RunbookError, match=there.name) as caught:
            ask()
        assert caught.value.fix


@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_has_its_code(player: Player, code: int) -> None:
    state = player.state(player.start(f"raise SystemExit({code})"), ended)

    assert (state.found, state.exit_code, state.is_running) == (True, code, False)


def test_a_killed_service_has_exited_with_137(player: Player) -> None:
    service = player.running(ENDLESS)

    player.kill(service)

    assert player.state(service, ended).exit_code == 128 + signal.SIGKILL


def test_a_frozen_service_is_paused_and_does_not_run(player: Player) -> None:
    service = player.running(ENDLESS)

    player.freeze(service)

    assert not player.state(service, lambda state: state.status == "paused").is_running


def test_a_restart_waits_for_who_tidies_up_and_the_log_goes_on(player: Player) -> None:
    service = player.running(POLITE, "ready")
    before = player.runtime.state(service).started_at

    player.runtime.restart(service, timeout_s=15)

    assert player.runtime.state(service).started_at != before
    wanted = ["up", "ready", "tidied up", "up", "ready"]
    eventually(lambda: player.lines(service) == wanted or None, f"{wanted} in the log")


def test_to_ask_whether_a_restart_is_allowed_restarts_nothing(player: Player) -> None:
    service = player.running(ENDLESS)
    before = player.runtime.state(service)

    player.runtime.check_restart(service)

    assert player.runtime.state(service) == before


def test_a_restart_kills_who_is_stubborn_after_its_time(player: Player) -> None:
    """Ignoring SIGTERM keeps nobody from being restarted, and two of them never run side by side."""
    service = player.running(STUBBORN.format(folder=player.folder), "ready")

    player.runtime.restart(service, timeout_s=1)

    wanted = ["up", "ready", "up", "ready"]
    eventually(lambda: player.lines(service) == wanted or None, f"{wanted} in the log")
    assert player.runtime.state(service).is_running


def test_a_log_since_a_moment_leaves_out_what_is_older(player: Player) -> None:
    service = player.running(ENDLESS)
    between = datetime.now(UTC)
    player.runtime.restart(service, timeout_s=1)
    eventually(lambda: player.lines(service) == ["up", "up"] or None, "both starts in the log")

    [line] = player.runtime.log(service, since=between)

    assert line.at is not None
    assert line.at > between - timedelta(seconds=player.precision_s)
    assert player.runtime.log(service, since=datetime.now(UTC)) == ()


def test_a_log_of_the_newest_start_has_no_line_of_the_one_before(player: Player) -> None:
    service = player.running(POLITE, "ready")
    player.runtime.restart(service, timeout_s=15)
    wanted = ["up", "ready", "tidied up", "up", "ready"]
    eventually(lambda: player.lines(service) == wanted or None, f"{wanted} in the log")

    newest = player.runtime.log_of_start(service, tail=99)

    texts = [line.text.rpartition("] ")[2] for line in newest]
    if player.precision_s and texts[:1] == ["tidied up"]:  # written in the second in which the new start began
        texts, newest = texts[1:], newest[1:]
    assert texts == ["up", "ready"]
    assert player.runtime.log_of_start(service, tail=1) == newest[1:]


@pytest.mark.parametrize(("tail", "expected"), [(None, 5), (2, 2), (0, 0), (99, 5)])
def test_a_log_has_its_last_lines(player: Player, tail: int | None, expected: int) -> None:
    service = player.start("for n in range(5): print('line', n)")
    player.state(service, ended)

    lines = [line.text for line in player.runtime.log(service, tail=tail)]

    assert lines == [f"line {n}" for n in range(5)][5 - expected :]


def test_a_log_is_followed_until_the_caller_stops(player: Player) -> None:
    """Lines come while it runs, and it goes on when nobody listens any more."""
    service = player.start(TALKS)

    lines = player.runtime.follow(service)
    assert [line.text for line in islice(lines, 5)] == [f"line {n}" for n in range(5)]
    assert isinstance(lines, Generator)
    lines.close()

    assert player.runtime.state(service).is_running


def test_a_file_is_read_as_the_service_sees_it_running_and_stopped(player: Player) -> None:
    path = f"{player.folder}/rules.yml"
    service = player.running(WRITES.format(path=path))

    running = player.runtime.file_inside(service, path), player.runtime.file_inside(service, f"{path}.none")
    player.kill(service)
    player.state(service, ended)
    stopped = player.runtime.file_inside(service, path), player.runtime.file_inside(service, f"{path}.none")

    assert running == stopped == (b"groups: []", None)


def test_two_services_side_by_side_share_a_network(player: Player) -> None:
    first, second = player.running(ENDLESS), player.running(ENDLESS)

    assert player.runtime.networks(first) & player.runtime.networks(second)
    assert player.runtime.mounts(first) == ()


def test_a_published_port_is_reached_at_the_runtimes_host(player: Player) -> None:
    service = player.running(LISTENS.format(address=player.address, port=player.port), "ready")

    [published] = player.runtime.published(service)

    assert (published.protocol, published.address) == ("tcp", "127.0.0.1")
    assert published.port == (player.port or published.host_port)
    assert player.heard(player.runtime.host(), published.host_port) == b"hello"


def test_what_has_ended_publishes_nothing(player: Player) -> None:
    service = player.running(LISTENS.format(address=player.address, port=player.port), "ready")
    player.kill(service)
    player.state(service, ended)

    assert player.runtime.published(service) == ()


def test_the_commands_for_an_operator_can_be_typed(player: Player) -> None:
    """The one for the log prints the last lines; the one for the start, named in fixes, restarts what runs."""
    service = player.running(ENDLESS)

    shown = subprocess.run(
        shlex.split(player.runtime.log_command(service)), capture_output=True, text=True, check=True, timeout=20
    )

    assert "up" in shown.stdout
    assert re.match(r"(docker|docker --host \S+) restart |kill ", player.runtime.start_command(service))


@pytest.mark.outside
@pytest.mark.parametrize(
    "nowhere",
    [
        pytest.param(lambda folder: ProcessRuntime(folder / ".stack"), id="processes"),
        pytest.param(
            lambda folder: DockerRuntime(RuntimeSettings(docker_host=f"unix://{folder}/none.sock")), id="containers"
        ),
    ],
)
def test_whatever_is_asked_of_an_engine_that_is_down_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: Callable[[Path], Runtime]
) -> None:
    """No answer is made up: every question has the same error, and it says how to start the engine."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    runtime, service = nowhere(tmp_path), Service(name="sink", container="sink")

    for ask in (
        lambda: runtime.state(service),
        lambda: runtime.log(service),
        lambda: list(runtime.follow(service)),
        lambda: runtime.restart(service, timeout_s=1),
        lambda: runtime.published(service),
    ):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.fix
    assert runtime.host() == "localhost"
