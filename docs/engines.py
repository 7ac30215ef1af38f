"""The table of docs/DOCKER.md: which engine is found by what names it, or the words said; from the code itself.

Each situation is made in a folder of its own: files of the docker program are written, sockets are there by name only.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

from docker.errors import DockerException

from runbook.errors import RunbookError
from runbook.systems.docker import location
from runbook.systems.docker.errors import unreachable
from runbook.systems.docker.location import engine_location
from runbook.systems.engine_addresses import EngineAddressError, check_engine_address
from runbook.systems.runtime_settings import RuntimeSettings

LINUX, MACOS, WINDOWS = "linux", "darwin", "win32"
_NAMES: Final = {LINUX: "Linux", MACOS: "macOS", WINDOWS: "Windows"}
_HOMES: Final = {LINUX: "/home/me", MACOS: "/Users/me", WINDOWS: "/Users/me"}
_SETTING: Final = "RUNBOOK_RUNTIME_DOCKER_HOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What names an engine, or which sockets are here; `context` is its name and address, `answer` the SDK's error."""

    engine: str
    given: str
    platform: str
    environment: Mapping[str, str] = field(default_factory=dict)
    setting: str | None = None
    context: tuple[str, str] | None = None
    damage: str = ""
    sockets: Collection[str] = ()
    answer: Exception | None = None


def situations() -> Iterator[Situation]:
    """Yield every row."""
    for platform, address in ((LINUX, "unix:///srv/docker.sock"), (WINDOWS, "tcp://engine.example:2376")):
        yield Situation(engine="any", given="the setting", platform=platform, setting=address)
    podman = "/run/user/1000/podman/podman.sock"
    for platform in _NAMES:
        yield Situation(engine="Podman", given=f"the setting `{podman}`", platform=platform, setting=podman)
    remote = "tcp://engine.example:2376"
    yield Situation(engine="remote", given="`DOCKER_HOST`", platform=LINUX, environment={"DOCKER_HOST": remote})
    for wrong in ("http://engine.example:2375", "tcp://engine.example", "fd://"):
        yield Situation(
            engine="remote", given=f"`DOCKER_HOST={wrong}`", platform=LINUX, environment={"DOCKER_HOST": wrong}
        )
    pipe = "npipe:////./pipe/docker_engine"
    yield Situation(engine="any", given=f"`DOCKER_HOST={pipe}`", platform=MACOS, environment={"DOCKER_HOST": pipe})
    yield from _contexts()
    yield from _sockets()


def _contexts() -> Iterator[Situation]:
    desktop = "desktop-linux"
    for engine, platform, name, address in (
        ("Docker Desktop", WINDOWS, desktop, "npipe:////./pipe/dockerDesktopLinuxEngine"),
        ("Docker Desktop", MACOS, desktop, "unix:///Users/me/.docker/run/docker.sock"),
        ("Docker Desktop", LINUX, desktop, "unix:///home/me/.docker/desktop/docker.sock"),
        ("Colima", MACOS, "colima", "unix:///Users/me/.colima/default/docker.sock"),
        ("rootless Docker", LINUX, "rootless", "unix:///run/user/1000/docker.sock"),
    ):
        yield Situation(engine=engine, given="the current context", platform=platform, context=(name, address))
    far = ("far", "ssh://ops@db1")
    variable = {"DOCKER_CONTEXT": "far"}
    paramiko = DockerException("Install paramiko package to enable ssh:// support")
    yield Situation(
        engine="remote",
        given="`DOCKER_CONTEXT`, by ssh",
        platform=LINUX,
        context=far,
        environment=variable,
        answer=paramiko,
    )
    yield Situation(engine="any", given="`DOCKER_CONTEXT` that is not there", platform=LINUX, environment=variable)
    yield Situation(
        engine="any", given="the current context, damaged", platform=LINUX, context=far, damage='{"Endpoints": '
    )
    yield Situation(
        engine="any", given="the current context, without scheme", platform=LINUX, context=("bare", "/run/x.sock")
    )


def _sockets() -> Iterator[Situation]:
    nothing = "nothing; its socket is there"
    yield Situation(engine="Docker", given=nothing, platform=LINUX, sockets=("/var/run/docker.sock",))
    missing = FileNotFoundError(2, "No such file or directory")
    yield Situation(engine="Docker Desktop", given="nothing", platform=WINDOWS)
    for engine, platform, path in (
        ("rootless Docker", LINUX, "/run/user/1000/docker.sock"),
        ("Podman, rootless", LINUX, podman := "/run/user/1000/podman/podman.sock"),
        ("Podman", LINUX, "/run/podman/podman.sock"),
        ("Podman machine", MACOS, "/Users/me/.local/share/containers/podman/machine/podman.sock"),
        ("Colima", MACOS, "/Users/me/.colima/default/docker.sock"),
        ("Docker Desktop", MACOS, "/Users/me/.docker/run/docker.sock"),
        ("Docker Desktop", LINUX, "/home/me/.docker/desktop/docker.sock"),
        ("Rancher Desktop", MACOS, "/Users/me/.rd/docker.sock"),
        ("OrbStack", MACOS, "/Users/me/.orbstack/run/docker.sock"),
    ):
        yield Situation(engine=engine, given=nothing, platform=platform, sockets=(path,))
    several = (podman, "/home/me/.colima/default/docker.sock")
    yield Situation(
        engine="several", given="nothing; two sockets are there", platform=LINUX, sockets=several, answer=missing
    )
    for platform in _NAMES:
        yield Situation(engine="none", given="nothing; no socket is there", platform=platform, answer=missing)


def engines() -> Iterator[str]:
    """The table: one row a situation."""
    yield "| engine | named by | platform | found, or said |"
    yield "|---|---|---|---|"
    for one in situations():
        yield f"| {one.engine} | {one.given} | {_NAMES[one.platform]} | {said(one)} |"


def said(one: Situation) -> str:
    """Return the engine that is found, or the words in their parts."""
    with TemporaryDirectory() as folder:
        found = _said(one, Path(folder))
        return found.replace(folder, "~/.docker").replace(_HOMES[one.platform], "~").replace("|", r"\|")


def _said(one: Situation, folder: Path) -> str:
    _write(one, folder)
    environment = {"HOME": _HOMES[one.platform], "XDG_RUNTIME_DIR": "/run/user/1000", "DOCKER_CONFIG": str(folder)}
    with (
        patch.dict("os.environ", {**environment, **one.environment}, clear=True),
        patch.object(location, "is_there", lambda path: path in one.sockets),
        patch("shutil.which", lambda name: f"/usr/bin/{name}"),
    ):
        try:
            check_engine_address(one.setting or "ssh://unused", one.platform)
            settings = RuntimeSettings.model_construct(kind="docker", docker_host=one.setting)
            place = engine_location(settings, one.platform)
        except EngineAddressError as error:
            return f"settings error: docker_host {error}. Fix: {_SETTING}={error.right}"
        except RunbookError as error:
            return f"settings error: {error.seen}. Fix: {error.fix}"
        if one.answer is None:
            return f"`{place.address}`, {place.named_by}"
        told = unreachable(one.answer, place, one.platform)
        return f"{told.seen}. Fix: {told.fix.partition('. Tried')[0]}"


def _write(one: Situation, folder: Path) -> None:
    """Write the docker program's files; a context that DOCKER_CONTEXT names is not the current one."""
    name, address = one.context or ("", "")
    if name and "DOCKER_CONTEXT" not in one.environment:
        (folder / "config.json").write_text(json.dumps({"currentContext": name}))
    if name:
        meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
        meta.parent.mkdir(parents=True)
        meta.write_text(one.damage or json.dumps({"Name": name, "Endpoints": {"docker": {"Host": address}}}))
