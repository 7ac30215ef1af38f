"""The Docker runtime against a small engine on a Unix socket."""

import contextlib
import os
import re
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from runbook.errors import AnswerError, UnreachableError
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.docker.wire import engine_host
from runbook.systems.runtime import LogLine, Mount, PublishedPort, Runtime, Service
from runbook.systems.runtime_settings import RuntimeSettings
from tests.small_engine import STDERR, STDOUT, Engine, frames, inspected, stat, tar
from tests.systems.loopback_servers import Reply, ScriptedServer

PROMETHEUS = Service(name="prometheus", container="aether-prom")
SINK = Service(name="crm-events-sink", container="aether-crm-events-sink")
NOBODY = 65534


@pytest.fixture(autouse=True)
def no_engine_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs these tests may work with an engine of his own."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(variable, raising=False)


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


def test_it_is_a_runtime_and_constructing_opens_nothing() -> None:
    """Settings for a host without Docker must not fail before a container is asked for."""
    docker = DockerRuntime(RuntimeSettings(docker_host="tcp://engine.invalid:2375"))

    _: Runtime = docker
    docker.close()


@pytest.mark.parametrize("version", ["1.40", "1.41", "1.44", "1.52"])
def test_engine_is_spoken_to_in_its_own_version(engine: Engine, docker: DockerRuntime, version: str) -> None:
    """From one before 20.10 to those that refuse everything below 1.44; a file takes the way beside the SDK, too."""
    engine.api_version = version
    engine.printed[engine.has("aether-prom"), "/x"] = (0, b"content", b"")

    assert docker.state(PROMETHEUS).found
    assert docker.file_inside(PROMETHEUS, "/x") == b"content"


def test_missing_container_is_a_state_with_the_nearest_names(engine: Engine, docker: DockerRuntime) -> None:
    engine.has("aether-crm-event-sink")
    engine.has("postgres")

    state = docker.state(SINK)

    assert (state.found, state.is_running, state.nearest) == (False, False, ("aether-crm-event-sink",))


def test_missing_container_is_an_error_where_one_is_needed(engine: Engine, docker: DockerRuntime) -> None:
    engine.has("aether-crm-event-sink")

    for ask in (
        lambda: docker.log(SINK),
        lambda: docker.restart(SINK, timeout_s=1),
        lambda: docker.file_inside(SINK, "/x"),
        lambda: docker.mounts(SINK),
        lambda: docker.networks(SINK),
        lambda: docker.published(SINK),
        lambda: list(docker.follow(SINK)),
    ):
        with pytest.raises(AnswerError, match=r"nearest: aether-crm-event-sink") as caught:
            ask()
        command = f"docker --host {engine.url} compose up -d crm-events-sink"
        assert (caught.value.code, caught.value.fix) == ("no_container", command)


def test_running_and_healthy(engine: Engine, docker: DockerRuntime) -> None:
    engine.has("aether-prom", inspection=inspected(health="healthy"))

    state = docker.state(PROMETHEUS)

    assert (state.is_running, state.exit_code, state.health, state.restart_count) == (True, None, "healthy", 0)
    assert state.started_at == datetime(2025, 11, 3, 19, 48, 51, 465169, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (inspected(status="exited", ExitCode=2), ("exited", 2, False, "")),
        (inspected(status="exited", ExitCode=137, OOMKilled=True), ("exited", 137, True, "")),
        (inspected(status="restarting", ExitCode=1), ("restarting", 1, False, "")),
        (inspected(status="paused"), ("paused", None, False, "")),
        (inspected(health="unhealthy"), ("running", None, False, "unhealthy")),
        (inspected(health="none"), ("running", None, False, "")),
    ],
)
def test_every_state_of_the_fault_table_can_be_told(
    engine: Engine, docker: DockerRuntime, state: dict[str, object], expected: object
) -> None:
    engine.has("aether-prom", inspection=state | {"RestartCount": 3})

    found = docker.state(PROMETHEUS)

    assert (found.status, found.exit_code, found.out_of_memory, found.health) == expected
    assert found.restart_count == 3


def test_container_that_was_never_started_has_no_start(engine: Engine, docker: DockerRuntime) -> None:
    engine.has("aether-prom", inspection=inspected(status="created", StartedAt="0001-01-01T00:00:00Z"))

    assert docker.state(PROMETHEUS).started_at is None


def test_restart_gives_the_container_its_time(engine: Engine, docker: DockerRuntime) -> None:
    number = engine.has("aether-prom")

    docker.restart(PROMETHEUS, timeout_s=2.5)

    assert ("POST", f"/containers/{number}/restart", {"t": ["3"]}) in engine.requests


def test_right_to_restart_is_asked_for_a_container_that_does_not_exist(engine: Engine, docker: DockerRuntime) -> None:
    number = engine.has("aether-prom")

    docker.check_restart(PROMETHEUS)

    asked = [path for method, path, _ in engine.requests if method == "POST"]
    assert len(asked) == 1
    assert re.fullmatch(r"/containers/[0-9a-f]{64}/restart", asked[0])
    assert number not in asked[0]


@pytest.mark.parametrize("status", [401, 403, 405])
def test_refused_right_is_named_without_the_page_of_the_proxy(
    engine: Engine, docker: DockerRuntime, status: int
) -> None:
    engine.has("aether-prom")
    engine.failure = (status, b"<html><body><h1>Forbidden</h1></body></html>")

    with pytest.raises(AnswerError) as caught:
        docker.check_restart(PROMETHEUS)

    said = "The Docker engine, or a proxy before it, does not allow this"
    assert caught.value.seen == f"{said} (restart aether-prom): {status}"
    assert (caught.value.code, caught.value.status) == ("forbidden", status)
    assert caught.value.fix == (
        "let POST /containers/NAME/restart through (docker-socket-proxy: CONTAINERS=1 ALLOW_RESTARTS=1)"
    )


def test_engine_that_fails_is_not_taken_for_one_that_allows(engine: Engine, docker: DockerRuntime) -> None:
    engine.failure = (500, {"message": "no space left on device"})

    with pytest.raises(AnswerError, match="500 no space left on device"):
        docker.check_restart(PROMETHEUS)


def test_log_is_demultiplexed_and_timed(engine: Engine, docker: DockerRuntime) -> None:
    number = engine.has("aether-prom")
    engine.logs[number] = frames(
        (STDOUT, b"2025-11-03T19:48:51.465169123Z Received lead.created\n"),
        (STDERR, b"2025-11-03T19:48:52Z \xc3\xa4 warning\r\n"),
        (STDOUT, b"no time at all\n"),
        (STDOUT, b"2025-11-03T19:48:53Z\n"),
    )

    lines = docker.log(PROMETHEUS, since=datetime(2025, 11, 3, 19, 48, 50, 500_000, tzinfo=UTC), tail=7)

    assert [line.text for line in lines] == ["Received lead.created", "ä warning", "no time at all", ""]
    assert lines[0].at == datetime(2025, 11, 3, 19, 48, 51, 465169, tzinfo=UTC)
    assert lines[2].at is None
    asked = engine.asked("logs")
    assert (asked["since"], asked["tail"], asked["timestamps"]) == (["1762199330.5"], ["7"], ["1"])


def test_whole_log_is_the_default(engine: Engine, docker: DockerRuntime) -> None:
    engine.has("aether-prom")

    assert docker.log(PROMETHEUS) == ()
    assert engine.asked("logs")["tail"] == ["all"]
    assert "since" not in engine.asked("logs")


def test_followed_lines_are_whole_however_they_were_cut(engine: Engine, docker: DockerRuntime) -> None:
    number = engine.has("aether-prom")
    engine.logs[number] = frames((STDOUT, b"2025-11-03T19:48:51Z fir"), (STDOUT, b"st\n2025-11-03T19:48:52Z second"))

    lines = list(docker.follow(PROMETHEUS))

    assert [line.text for line in lines] == ["first", "second"]
    assert isinstance(lines[0], LogLine)
    assert engine.asked("logs")["follow"] == ["1"]


def test_caller_may_stop_following(engine: Engine, docker: DockerRuntime) -> None:
    number = engine.has("aether-prom")
    engine.logs[number] = frames((STDOUT, b"2025-11-03T19:48:51Z one\n"), (STDOUT, b"2025-11-03T19:48:52Z two\n"))
    lines = docker.follow(PROMETHEUS)

    assert next(lines).text == "one"
    assert isinstance(lines, Generator)
    lines.close()

    assert docker.state(PROMETHEUS).found


def test_running_container_reads_its_file_itself(engine: Engine, docker: DockerRuntime) -> None:
    """The engine's archive shows the file that has its name now; the container may still have the one before."""
    number = engine.has("aether-prom")
    engine.files[number, "/etc/rules.yml"] = (200, tar("rules.yml", b"new\n"), stat("rules.yml"))
    engine.printed[number, "/etc/rules.yml"] = (0, b"old\n", b"")
    engine.printed[number, "/empty"] = (0, b"", b"")
    engine.printed[number, "/etc"] = (1, b"", b"cat: /etc: Is a directory\n")

    assert docker.file_inside(PROMETHEUS, "/etc/rules.yml") == b"old\n"
    assert docker.file_inside(PROMETHEUS, "/empty") == b""
    assert docker.file_inside(PROMETHEUS, "/etc") is None
    assert docker.file_inside(PROMETHEUS, "/nowhere") is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((1, b"", b"cat: /x: Permission denied\n"), "unreadable"),
        ((126, b'OCI runtime exec failed: exec: "cat": executable file not found in $PATH', b""), "no_cat"),
        ((127, b"", b"cat: not found"), "no_cat"),
    ],
)
def test_file_that_cannot_be_printed_is_no_missing_file(
    engine: Engine, docker: DockerRuntime, answer: tuple[int, bytes, bytes], code: str
) -> None:
    engine.printed[engine.has("aether-prom"), "/x"] = answer

    with pytest.raises(AnswerError, match=r"aether-prom could not read /x: .*cat") as caught:
        docker.file_inside(PROMETHEUS, "/x")

    assert caught.value.code == code


def test_file_of_a_stopped_container_comes_from_the_engine(engine: Engine, docker: DockerRuntime) -> None:
    number = engine.has("aether-prom", state="exited")
    engine.files[number, "/etc/rules.yml"] = (200, tar("rules.yml", b"groups: []\n"), stat("rules.yml"))
    engine.files[number, "/etc/link"] = (200, tar("link", b""), stat("link", link="/etc/rules.yml"))
    engine.files[number, "/etc"] = (200, tar("etc"), stat("etc"))
    engine.files[number, "/empty"] = (200, tar("empty", b""), stat("empty"))

    assert docker.file_inside(PROMETHEUS, "/etc/rules.yml") == b"groups: []\n"
    assert docker.file_inside(PROMETHEUS, "/etc/link") == b"groups: []\n"
    assert docker.file_inside(PROMETHEUS, "/etc") is None
    assert docker.file_inside(PROMETHEUS, "/nowhere") is None
    assert docker.file_inside(PROMETHEUS, "/empty") == b""


def test_huge_file_is_refused_at_the_cap(engine: Engine, docker: DockerRuntime) -> None:
    stopped = engine.has("aether-prom", state="exited")
    engine.files[stopped, "/big"] = (200, tar("big", bytes(24_000_000)), stat("big"))
    engine.printed[engine.has("aether-crm-events-sink"), "/big"] = (0, bytes(24_000_000), b"")

    for service in (PROMETHEUS, SINK):
        with pytest.raises(AnswerError, match="more than 20,000,000 bytes") as caught:
            docker.file_inside(service, "/big")
        assert caught.value.code == "too_large"


def test_bind_mounts_and_networks(engine: Engine, docker: DockerRuntime) -> None:
    mounts = [
        {"Type": "bind", "Source": "/host/rules.yml", "Destination": "/etc/rules.yml", "Mode": "ro"},
        {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data", "Destination": "/prometheus"},
    ]
    networks: dict[str, Any] = {"NetworkSettings": {"Networks": {"monitoring_default": {}, "aether": {}}}}
    engine.has("aether-prom", inspection={"Mounts": mounts, **networks})

    assert docker.mounts(PROMETHEUS) == (Mount(source="/host/rules.yml", destination="/etc/rules.yml"),)
    assert docker.networks(PROMETHEUS) == {"monitoring_default", "aether"}


def test_published_ports_are_where_the_engine_maps_them(engine: Engine, docker: DockerRuntime) -> None:
    """Exposed alone is not published; every address and family is a mapping of its own; engines leave 0.0.0.0 out."""
    ports = {
        "9090/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9090"}, {"HostIp": "::1", "HostPort": "9091"}],
        "9105/tcp": None,
        "53/udp": [{"HostIp": "", "HostPort": "10053"}],
    }
    engine.has("aether-prom", inspection={"NetworkSettings": {"Networks": {}, "Ports": ports}})
    engine.has("aether-crm-events-sink", inspection={"NetworkSettings": {"Networks": {}, "Ports": None}})

    assert docker.published(PROMETHEUS) == (
        PublishedPort(port=9090, protocol="tcp", address="127.0.0.1", host_port=9090),
        PublishedPort(port=9090, protocol="tcp", address="::1", host_port=9091),
        PublishedPort(port=53, protocol="udp", address="0.0.0.0", host_port=10053),  # noqa: S104 - not bound
    )
    assert docker.published(SINK) == ()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (None, "localhost"),
        pytest.param("unix:///var/run/docker.sock", "localhost", marks=pytest.mark.posix("Unix sockets")),
        ("tcp://127.0.0.1:2375", "localhost"),
        ("tcp://[::1]:2375", "localhost"),
        ("tcp://localhost:2375", "localhost"),
        ("tcp://db1.example:2376", "db1.example"),
        ("ssh://ops@db1:22", "db1"),
    ],
)
def test_host_of_the_services_is_the_engines(address: str | None, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said without asking the engine, from the setting or the environment."""
    assert DockerRuntime(RuntimeSettings(docker_host=address)).host() == host
    monkeypatch.setenv("DOCKER_HOST", address or "tcp://localhost:2375")
    assert DockerRuntime(RuntimeSettings()).host() == host


def test_host_of_a_pipe_is_this_one() -> None:
    """An address of Windows alone, so it cannot be set here."""
    assert engine_host("npipe:////./pipe/docker_engine") == "localhost"


@pytest.mark.parametrize(
    ("state", "verb"),
    [
        ("created", "start"),
        ("exited", "start"),
        ("running", "restart"),
        ("restarting", "restart"),
        ("paused", "unpause"),
    ],
)
def test_commands_name_the_container_that_was_found_and_fit_its_state(
    engine: Engine, docker: DockerRuntime, state: str, verb: str
) -> None:
    """`docker start` does nothing to a container that runs, and docker does not know an engine of our setting."""
    engine.has("renamed", service="prometheus", state=state)

    assert docker.start_command(PROMETHEUS) == f"docker --host {engine.url} {verb} renamed"
    assert docker.log_command(PROMETHEUS) == f"docker --host {engine.url} logs --tail 100 renamed"


def test_commands_for_a_container_that_is_not_there(engine: Engine, docker: DockerRuntime) -> None:
    assert docker.start_command(PROMETHEUS) == f"docker --host {engine.url} compose up -d prometheus"
    assert docker.log_command(PROMETHEUS) == f"docker --host {engine.url} logs --tail 100 aether-prom"


def test_commands_need_no_address_where_docker_goes_there_by_itself(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    for settings in (RuntimeSettings(), RuntimeSettings(docker_host=engine.url)):
        with contextlib.closing(DockerRuntime(settings)) as docker:
            assert docker.log_command(PROMETHEUS) == "docker logs --tail 100 aether-prom"


def test_container_without_a_name_shows_its_short_id(engine: Engine, docker: DockerRuntime) -> None:
    engine.has("x", service="prometheus")
    engine.containers[0] |= {"Names": None}

    assert docker.state(PROMETHEUS).name == "0" * 12


def test_refusal_of_the_engine_is_quoted(engine: Engine, docker: DockerRuntime) -> None:
    engine.failure = (500, {"message": "no space left on device"})

    with pytest.raises(AnswerError, match="500 no space left on device") as caught:
        docker.state(PROMETHEUS)

    assert caught.value.status == 500


def test_answer_of_another_shape_is_an_error(engine: Engine, docker: DockerRuntime) -> None:
    engine.failure = (200, {"not": "a list"})

    with pytest.raises(AnswerError, match="unknown shape"):
        docker.state(PROMETHEUS)


@pytest.mark.posix("Unix sockets")
@pytest.mark.outside
def test_missing_socket_has_its_own_text(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="socket does not exist") as caught:
        DockerRuntime(RuntimeSettings(docker_host=f"unix://{tmp_path}/none.sock")).state(SINK)

    assert caught.value.reason == "missing"
    assert "DOCKER_HOST" in caught.value.fix


def test_socket_that_nobody_serves_is_refused(engine: Engine, docker: DockerRuntime) -> None:
    """What is left after a crash of the engine: a socket file, and no engine."""
    engine.stop()

    with pytest.raises(UnreachableError, match="connection refused") as caught:
        docker.state(SINK)

    assert (caught.value.reason, "start Docker" in caught.value.fix) == ("refused", True)


@pytest.fixture
def ordinary_user(engine: Engine) -> Iterator[None]:
    """Be somebody who may not open the engine's socket: root may open every one."""
    Path(engine.url.removeprefix("unix://")).chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


@pytest.mark.posix("Unix sockets")
@pytest.mark.usefixtures("ordinary_user")
def test_socket_without_permission_says_which_group(docker: DockerRuntime) -> None:
    """The engine runs, but its socket is for another group."""
    with pytest.raises(UnreachableError, match="permission denied") as caught:
        docker.state(SINK)

    assert (caught.value.reason, "usermod -aG docker" in caught.value.fix) == ("permission", True)


def test_address_of_something_else_is_no_engine(server: ScriptedServer) -> None:
    server.routes["GET /version"] = Reply(200, {"hello": "world"})

    with pytest.raises(UnreachableError, match=r"no usable answer: .*ApiVersion") as caught:
        DockerRuntime(RuntimeSettings(docker_host=server.url.replace("http", "tcp"))).state(SINK)

    assert caught.value.reason == "broken"


def test_engine_older_than_the_sdk_is_told_so(engine: Engine, docker: DockerRuntime) -> None:
    """The SDK speaks 1.24 and later: version 1.12 of the engine, of 2016."""
    engine.api_version = "1.23"

    with pytest.raises(UnreachableError, match=r"API versions below 1\.24") as caught:
        docker.state(SINK)

    assert (caught.value.reason, "20.10" in caught.value.fix) == ("broken", True)


def test_engine_that_wants_tls_is_told_from_one_that_is_down(server: ScriptedServer) -> None:
    """The words are those of Go's server at 2376 to who speaks in the clear."""
    server.routes["GET /version"] = Reply(400, b"Client sent an HTTP request to an HTTPS server.\n")

    with pytest.raises(UnreachableError, match="HTTPS server") as caught:
        DockerRuntime(RuntimeSettings(docker_host=server.url.replace("http", "tcp"))).state(SINK)

    assert (caught.value.reason, "DOCKER_TLS_VERIFY" in caught.value.fix) == ("broken", True)


@pytest.mark.parametrize("has_certificates", [False, True])
def test_tls_that_the_engine_does_not_speak_names_its_variables(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_certificates: bool
) -> None:
    """Certificates that are not where the variable says, and an engine in the clear: both are the variables."""
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    if has_certificates:
        self_signed(tmp_path)

    with pytest.raises(UnreachableError) as caught:
        DockerRuntime(RuntimeSettings(docker_host=server.url.replace("http", "tcp"))).state(SINK)

    assert (caught.value.reason, "DOCKER_CERT_PATH" in caught.value.fix) == ("broken", True)


def test_ssh_without_its_package_names_the_way_around() -> None:
    """What `docker` itself takes as DOCKER_HOST; the SDK would need a package that is not among ours."""
    with pytest.raises(UnreachableError, match=r"ssh:// needs the package paramiko") as caught:
        DockerRuntime(RuntimeSettings(docker_host="ssh://ops@db1")).state(SINK)

    assert "ssh -NL ./docker.sock:/var/run/docker.sock" in caught.value.fix


def test_name_of_an_engine_that_does_not_resolve() -> None:
    with pytest.raises(UnreachableError, match="name does not resolve") as caught:
        DockerRuntime(RuntimeSettings(docker_host="tcp://engine.invalid:2375")).state(SINK)

    assert caught.value.reason == "dns"


def self_signed(folder: Path) -> None:
    """Write a certificate that is its own authority, under the three names that Docker's clients look for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    (folder / "ca.pem").write_bytes(certificate)
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_silent_engine_is_a_timeout(silent_url: str) -> None:
    runtime = DockerRuntime(RuntimeSettings(docker_host=silent_url.replace("http", "tcp")), timeout_s=1)

    with pytest.raises(UnreachableError) as caught:
        runtime.state(SINK)

    assert caught.value.reason == "timeout"


def test_engine_of_the_environment_is_used_without_a_setting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine.has("aether-prom")
    runtime = DockerRuntime(RuntimeSettings())

    assert runtime.state(PROMETHEUS).found
    runtime.close()
