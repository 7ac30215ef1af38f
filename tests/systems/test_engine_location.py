"""Where the engine is: the docker program's own order, its contexts, the sockets of other engines, and what is said."""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from docker.context import ContextAPI

from docs.engines import engines
from runbook.errors import UnreachableError, UsageError
from runbook.systems.docker import location
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.docker.errors import unreachable
from runbook.systems.docker.location import EngineLocation, engine_location
from runbook.systems.runtime import Service
from runbook.systems.runtime_settings import RuntimeSettings
from tests.small_engine import Engine

SINK: Final = Service(name="crm-events-sink", container="aether-crm-events-sink")
ENGINE: Final = "unix:///run/of-the-{}.sock"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any engine: the sockets of the system are looked for in the home folder, too."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    of_the_system = tuple(
        (engine, path.replace("/run/podman", "{home}/run/podman")) for engine, path in location.SOCKETS
    )
    monkeypatch.setattr(location, "SOCKETS", of_the_system)
    monkeypatch.setattr(location, "default_address", lambda _: f"unix://{tmp_path}/default.sock")
    return tmp_path


def config(folder: Path, content: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))


def context(folder: Path, name: str, endpoint: object = None, *, raw: str | None = None) -> Path:
    """Write a context as `docker context create` does, and return the folder of its TLS files."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True, exist_ok=True)
    endpoint = {"Host": ENGINE.format(name), "SkipTLSVerify": False} if endpoint is None else endpoint
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    meta.write_text(json.dumps(document) if raw is None else raw)
    return folder / "contexts/tls" / digest / "docker"


def located(docker_host: str | None = None) -> EngineLocation:
    """Not validated: that is done for the platform of this interpreter."""
    return engine_location(RuntimeSettings.model_construct(docker_host=docker_host), "linux")


# The order


SOURCES: Final = ("setting", "host", "variable", "config", "default")


def give(source: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let one source name an engine of its own."""
    if source == "setting":
        return {"docker_host": ENGINE.format(source)}
    if source == "host":
        monkeypatch.setenv("DOCKER_HOST", ENGINE.format(source))
    elif source == "variable":
        monkeypatch.setenv("DOCKER_CONTEXT", source)
        context(home / ".docker", source)
    elif source == "config":
        config(home / ".docker", {"currentContext": source, "auths": {}})
        context(home / ".docker", source)
    else:
        (home / "default.sock").touch()
    return {}


@pytest.mark.parametrize("first", range(len(SOURCES)))
def test_the_first_that_names_an_engine_counts(first: int, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that come after it name another one; what comes before is said to have been tried."""
    settings: dict[str, str] = {}
    for source in SOURCES[first:]:
        settings |= give(source, home, monkeypatch)

    found = located(**settings)

    wanted = f"unix://{home}/default.sock" if first == len(SOURCES) - 1 else ENGINE.format(SOURCES[first])
    assert found.address == wanted
    assert [("not set" in one or "none" in one) for one in found.tried] == [True] * min(first, 4)


@pytest.mark.posix("Unix sockets")
@pytest.mark.parametrize("source", SOURCES[1:4])
def test_the_docker_program_goes_to_the_same_engine(source: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is docker's own, so its commands in our fixes need no address."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not on PATH")
    for one in SOURCES[SOURCES.index(source) :]:
        give(one, home, monkeypatch)

    said = subprocess.run(["docker", "ps"], capture_output=True, text=True, check=False, timeout=60)

    assert ENGINE.format(source) in said.stderr
    assert (located().address, located().program) == (ENGINE.format(source), "docker")


def test_an_empty_variable_names_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.setenv(variable, "")
    give("config", home, monkeypatch)

    assert located().address == ENGINE.format("config")


def test_contexts_are_those_of_docker_config(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that folder has no config.json: then the variable names the context."""
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "elsewhere"))
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    context(home / "elsewhere", "far")
    context(home / ".docker", "far", {"Host": "unix:///wrong.sock"})

    assert located().address == ENGINE.format("far")


@pytest.mark.parametrize("named_by", ["variable", "config"])
def test_the_context_default_is_no_context(home: Path, monkeypatch: pytest.MonkeyPatch, named_by: str) -> None:
    """`DOCKER_CONTEXT=default` goes before a currentContext."""
    (home / "default.sock").touch()
    if named_by == "variable":
        give("config", home, monkeypatch)
        monkeypatch.setenv("DOCKER_CONTEXT", "default")
    else:
        config(home / ".docker", {"currentContext": "default"})

    assert located().address == f"unix://{home}/default.sock"


def test_a_context_is_named_wherever_its_engine_is(engine: Engine, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "colima")
    context(home / ".docker", "colima", {"Host": engine.url})

    with contextlib.closing(DockerRuntime(RuntimeSettings())) as docker:
        assert docker.state(SINK).found is False
        assert docker.described() == f"Docker engine at {engine.url} (context colima, DOCKER_CONTEXT)"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "d.sock")
    yield made
    made.stop()


# What cannot be used


def broken_config(folder: Path) -> None:
    config(folder, '{"currentContext": "colima"')


def no_list(folder: Path) -> None:
    config(folder, {"currentContext": ["colima"]})


def absent(folder: Path) -> None:
    config(folder, {"currentContext": "colima"})


def damaged(folder: Path) -> None:
    config(folder, {"currentContext": "colima"})
    context(folder, "colima", raw='{"Name": "colima", "Endpoints": ')


def other_shape(folder: Path) -> None:
    config(folder, {"currentContext": "colima"})
    context(folder, "colima", raw='{"Name": "colima", "Endpoints": []}')


def deep(folder: Path) -> None:
    config(folder, {"currentContext": "colima"})
    context(folder, "colima", raw='{"Endpoints": {"docker": ' + '{"x": ' * 200_000)


def not_text(folder: Path) -> None:
    config(folder, {"currentContext": "colima"})
    path = context(folder, "colima").parents[2] / "meta" / hashlib.sha256(b"colima").hexdigest() / "meta.json"
    path.write_bytes(b'{"Endpoints": {"docker": {"Host": "\xff\xfe"}}}')


def a_folder(folder: Path) -> None:
    (folder / "config.json").mkdir(parents=True)


def without_engine(folder: Path) -> None:
    config(folder, {"currentContext": "colima"})
    context(folder, "colima", raw='{"Name": "colima", "Endpoints": {"kubernetes": {}}}')


def without_scheme(folder: Path) -> None:
    config(folder, {"currentContext": "colima"})
    context(folder, "colima", {"Host": "/run/x.sock"})


def with_password(folder: Path) -> None:
    config(folder, {"currentContext": "colima"})
    context(folder, "colima", {"Host": "tcp://u:correct-horse@engine:2375"})


MISTAKES: Final[list[tuple[Callable[[Path], None], str, str, str]]] = [
    (broken_config, "are damaged", "config.json", "set DOCKER_HOST to the engine"),
    (no_list, "are damaged", "config.json", "set DOCKER_HOST to the engine"),
    (a_folder, "cannot be read: Is a directory", "config.json", "set DOCKER_HOST to the engine"),
    (absent, "There is no Docker context 'colima'", "currentContext of", "docker context use NAME"),
    (damaged, "are damaged", "meta.json", "docker context rm --force colima"),
    (other_shape, "are damaged", "meta.json", "docker context rm --force colima"),
    (deep, "are damaged", "meta.json", "docker context rm --force colima"),
    (not_text, "are damaged", "meta.json", "docker context rm --force colima"),
    (without_engine, "names no Docker engine", "meta.json", "docker context update colima --docker host=ADDRESS"),
    (without_scheme, "has no scheme", "meta.json", "docker context update colima --docker host=unix:///run/x.sock"),
    (with_password, "holds a password", "meta.json", "docker context update colima --docker host=tcp://HOST:2376"),
]


@pytest.mark.posix("Unix sockets")
@pytest.mark.parametrize(("mistake", "seen", "where", "fix"), MISTAKES)
def test_a_context_that_cannot_be_used_has_its_own_words(
    home: Path, mistake: Callable[[Path], None], seen: str, where: str, fix: str
) -> None:
    """A mistake of settings, exit code 4; never the default engine in its place, and no secret."""
    mistake(home / ".docker")
    (home / "default.sock").touch()

    with pytest.raises(UsageError) as caught:
        located()

    said = caught.value
    assert (seen in said.seen, where in said.where, fix in said.fix) == (True, True, True), str(said)
    assert "correct-horse" not in str(said)


def test_the_sdk_takes_the_default_engine_for_a_context_that_is_not_there(home: Path) -> None:
    """Why contexts are read here: the SDK's own reading says nothing of it."""
    absent(home / ".docker")
    broken: Any = ContextAPI.kwargs_from_context()

    assert broken == {}


# Sockets of other engines


PLACES: Final = [
    ("rootless Docker", "runtime/docker.sock"),
    ("Podman", "runtime/podman/podman.sock"),
    ("Podman", "run/podman/podman.sock"),
    ("Podman", ".local/share/containers/podman/machine/podman.sock"),
    ("Colima", ".colima/default/docker.sock"),
    ("Docker Desktop", ".docker/run/docker.sock"),
    ("Docker Desktop", ".docker/desktop/docker.sock"),
    ("Rancher Desktop", ".rd/docker.sock"),
    ("OrbStack", ".orbstack/run/docker.sock"),
]


def socket(home: Path, place: str) -> str:
    (home / place).parent.mkdir(parents=True, exist_ok=True)
    (home / place).touch()
    return f"unix://{home / place}"


@pytest.mark.posix("Unix sockets")
@pytest.mark.parametrize(("name", "place"), PLACES)
def test_the_only_socket_is_used_and_said(home: Path, name: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docker program would not go there by itself: the commands of our fixes say where it is."""
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/it")
    address = socket(home, place)

    found = located()

    assert (found.address, found.program) == (address, f"docker --host {address}")
    assert found.where == f"Docker engine at {address} (the socket of {name}, the only one here)"


@pytest.mark.posix("Unix sockets")
def test_the_default_socket_goes_before_every_other(home: Path) -> None:
    socket(home, PLACES[0][1])
    (home / "default.sock").symlink_to(home / "of a machine that is down")

    assert located().named_by == "the default"


@pytest.mark.posix("Unix sockets")
@pytest.mark.outside
def test_of_several_none_is_used_and_all_are_named(home: Path) -> None:
    """A guess would restart somebody's other Grafana."""
    first, second = socket(home, PLACES[1][1]), socket(home, PLACES[4][1])

    with pytest.raises(UnreachableError) as caught:
        DockerRuntime(RuntimeSettings()).state(SINK)

    assert caught.value.reason == "missing"
    assert caught.value.fix.startswith(
        "set RUNBOOK_RUNTIME_DOCKER_HOST to the engine that is meant; "
        f"these are here: {first} (Podman), {second} (Colima)"
    )


@pytest.mark.posix("Unix sockets")
def test_two_names_of_one_socket_are_one(home: Path) -> None:
    """Docker Desktop and OrbStack link one to the other."""
    address = socket(home, PLACES[5][1])
    (home / ".orbstack/run").mkdir(parents=True)
    (home / ".orbstack/run/docker.sock").symlink_to(home / PLACES[5][1])

    assert located().address == address


@pytest.mark.posix("Unix sockets")
def test_a_link_that_leads_nowhere_is_no_socket(home: Path) -> None:
    """What an engine that was removed has left behind."""
    address = socket(home, PLACES[4][1])
    (home / ".rd").mkdir()
    (home / ".rd/docker.sock").symlink_to(home / "removed")

    assert located().address == address


@pytest.mark.posix("Unix sockets")
def test_podman_alone_is_spoken_to_by_its_own_program(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/podman" if name == "podman" else None)

    address = socket(home, PLACES[1][1])

    assert located().program == f"podman --url {address}"


@pytest.mark.posix("Unix sockets")
@pytest.mark.outside
def test_what_was_tried_is_said_in_order(home: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        DockerRuntime(RuntimeSettings()).state(SINK)

    assert caught.value.fix.partition("Tried in this order: ")[2].split("; ") == [
        "RUNBOOK_RUNTIME_DOCKER_HOST: not set",
        "DOCKER_HOST: not set",
        "DOCKER_CONTEXT: not set",
        f"currentContext of {home}/.docker/config.json: none",
        f"unix://{home}/default.sock: not there",
        "sockets of rootless Docker, Podman, Colima, Docker Desktop, Rancher Desktop, OrbStack: none is there",
        f"Docker engine at unix://{home}/default.sock (the default)",
    ]


@pytest.mark.posix("Unix sockets")
def test_the_table_of_the_document_leaves_no_engine_out() -> None:
    """Each has a row, and each row an engine that was found, or words with a fix."""
    rows = list(engines())[2:]

    assert {engine for engine, _ in location.SOCKETS} <= {
        name for row in rows for name in re.findall(r"of ([\w ]+), the only", row)
    }
    assert [row for row in rows if not re.search(r"\| `\w+://[^`]+`, |Fix: \S", row)] == []


# What an engine that is down is told to do


def down(error: Exception, place: EngineLocation, platform: str) -> tuple[str, str]:
    told = unreachable(error, place, platform)
    return told.reason, told.fix.partition(". Tried")[0]


def at(address: str) -> EngineLocation:
    return EngineLocation(address=address, named_by="DOCKER_HOST", setting="RUNBOOK_RUNTIME_DOCKER_HOST")


@pytest.mark.parametrize(
    ("address", "platform", "start"),
    [
        ("unix:///var/run/docker.sock", "linux", "start Docker: sudo systemctl start docker"),
        ("unix:///var/run/docker.sock", "darwin", "start Docker Desktop"),
        ("npipe:////./pipe/docker_engine", "win32", "start Docker Desktop"),
        ("npipe:////./pipe/podman-machine-default", "win32", "start Podman: podman machine start"),
        ("unix:///run/user/1000/docker.sock", "linux", "start Docker: systemctl --user start docker"),
        ("unix:///run/user/1000/podman/podman.sock", "linux", "start Podman: systemctl --user start podman.socket"),
        ("unix:///run/podman/podman.sock", "linux", "start Podman: sudo systemctl start podman.socket"),
        ("unix:///home/me/.docker/desktop/docker.sock", "linux", "start Docker Desktop"),
        ("unix:///Users/me/.colima/default/docker.sock", "darwin", "colima start"),
        ("unix:///Users/me/.rd/docker.sock", "darwin", "start Rancher Desktop"),
        ("unix:///Users/me/.orbstack/run/docker.sock", "darwin", "start OrbStack"),
        ("tcp://db1.example:2376", "linux", "start Docker on db1.example"),
    ],
)
def test_each_engine_is_started_in_its_own_way(address: str, platform: str, start: str) -> None:
    reason, fix = down(FileNotFoundError(2, "No such file or directory"), at(address), platform)

    assert (reason, fix.partition(", or ")[0]) == ("missing", start)


class PipeError(Exception):
    """What pywin32 raises for a pipe: `pywintypes.error`, which is no OSError."""

    __module__ = "pywintypes"

    def __init__(self, code: int) -> None:
        super().__init__(code, "CreateFile", "The system cannot do it.")
        self.winerror = code


@pytest.mark.parametrize(
    ("code", "reason", "fix"),
    [(2, "missing", "Docker Desktop"), (5, "permission", "docker-users"), (231, "timeout", "Docker Desktop")],
)
def test_a_pipe_of_windows_has_errors_of_its_own(
    code: int, reason: str, fix: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded: without Docker Desktop, for another user's, and with all of its instances in use."""
    told, said = down(PipeError(code), at("npipe:////./pipe/docker_engine"), "win32")
    assert (told, fix in said) == (reason, True)

    with contextlib.closing(DockerRuntime(RuntimeSettings(docker_host=engine.url))) as docker:
        docker.state(SINK)
        monkeypatch.setattr("docker.APIClient.containers", lambda *_, **__: (_ for _ in ()).throw(PipeError(code)))
        with pytest.raises(UnreachableError):
            docker.state(SINK)


@pytest.mark.posix("Unix sockets")
@pytest.mark.outside
def test_a_context_that_is_down_is_named_in_the_fix(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give("config", home, monkeypatch)

    with pytest.raises(UnreachableError) as caught:
        DockerRuntime(RuntimeSettings()).state(SINK)

    assert "choose another context than config (docker context ls)" in caught.value.fix
    assert f"(context config, currentContext of {home}/.docker/config.json)" in caught.value.where


def test_a_context_of_ssh_has_the_way_around_with_its_host(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    context(home / ".docker", "far", {"Host": "ssh://ops@db1"})

    with pytest.raises(UnreachableError, match="ssh:// needs the package paramiko") as caught:
        DockerRuntime(RuntimeSettings()).state(SINK)

    assert "ssh -NL ./docker.sock:/var/run/docker.sock ops@db1, then set DOCKER_HOST=" in caught.value.fix
    assert "context far" in caught.value.where
