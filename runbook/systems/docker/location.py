"""Where the engine is, in the docker program's own order, and what was tried.

1. the setting `docker_host`; 2. `DOCKER_HOST`; 3. `DOCKER_CONTEXT`, then `currentContext` of config.json (`contexts`);
4. the default socket, on Windows the default pipe; 5. where that is not there: the only other socket that is known and
here. The docker program ends at 4: what is found at 5 is said wherever the engine is named.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from typing import Final

from runbook.errors import UsageError
from runbook.shell import quoted
from runbook.systems.docker.contexts import VARIABLE, DockerContext, config_file, current_context
from runbook.systems.engine_addresses import (
    WINDOWS,
    EngineAddressError,
    check_engine_address,
    default_address,
)
from runbook.systems.runtime_settings import RuntimeSettings

_HOST: Final = "DOCKER_HOST"
_UNIX: Final = "unix://"
SOCKETS: Final = (
    ("rootless Docker", "{runtime}/docker.sock"),
    ("Podman", "{runtime}/podman/podman.sock"),
    ("Podman", "/run/podman/podman.sock"),
    ("Podman", "{home}/.local/share/containers/podman/machine/podman.sock"),
    ("Colima", "{home}/.colima/default/docker.sock"),
    ("Docker Desktop", "{home}/.docker/run/docker.sock"),
    ("Docker Desktop", "{home}/.docker/desktop/docker.sock"),
    ("Rancher Desktop", "{home}/.rd/docker.sock"),
    ("OrbStack", "{home}/.orbstack/run/docker.sock"),
)
"""Where other engines have their socket: `runtime` is XDG_RUNTIME_DIR, `home` the home folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSocket:
    """A socket that is here: whose it is by its place, and its address."""

    engine: str
    address: str

    def __str__(self) -> str:
        """Return both, as errors list them."""
        return f"{self.address} ({self.engine})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLocation:
    """The engine that is asked: its address, what named it, and `tried`, what could have and did not, in order.

    `candidates` are sockets that are here where several are and none is named; `is_ours` means that the docker program
    would not go there by itself.
    """

    address: str
    named_by: str
    tried: tuple[str, ...] = ()
    context: DockerContext | None = None
    candidates: tuple[FoundSocket, ...] = ()
    is_ours: bool = False
    setting: str

    @property
    def where(self) -> str:
        """The engine as evidence and errors name it."""
        return f"Docker engine at {self.address} ({self.named_by})"

    @property
    def program(self) -> str:
        """What is typed to speak to it: docker, with its address where that is needed; podman where it is alone."""
        if "podman" in self.address and shutil.which("podman") and not shutil.which("docker"):
            return f"podman --url {quoted(self.address)}"
        return f"docker --host {quoted(self.address)}" if self.is_ours else "docker"


def engine_location(settings: RuntimeSettings, platform: str = sys.platform) -> EngineLocation:
    """Return where the engine is; files of the docker program are read, nothing is connected to.

    Raises UsageError for an address of a wrong form, whatever it came from, and for a context that cannot be used.
    """
    named = os.environ.get(_HOST)
    setting = settings.place_of("docker_host")
    if settings.docker_host:
        is_ours = settings.docker_host != named
        return EngineLocation(address=settings.docker_host, named_by=setting, is_ours=is_ours, setting=setting)
    tried: tuple[str, ...] = (f"{setting}: not set",)
    if named:
        return EngineLocation(address=_checked(named, platform), named_by=_HOST, tried=tried, setting=setting)
    tried += (f"{_HOST}: not set",)
    context = current_context(platform)
    if context is not None:
        tried += () if context.named_by == VARIABLE else (f"{VARIABLE}: not set",)
        named_by = f"context {context.name}, {context.named_by}"
        return EngineLocation(address=context.address, named_by=named_by, context=context, tried=tried, setting=setting)
    return _unnamed((*tried, *_without_context()), platform, setting)


def _without_context() -> tuple[str, ...]:
    variable = os.environ.get(VARIABLE)
    if variable:
        return (f"{VARIABLE}: {variable}",)
    return f"{VARIABLE}: not set", f"currentContext of {config_file()}: none"


def _unnamed(tried: tuple[str, ...], platform: str, setting: str) -> EngineLocation:
    """Return the engine where nothing names one: at the default address, else at the only socket there is."""
    default = default_address(platform)
    if platform == WINDOWS or is_there(default.removeprefix(_UNIX)):
        return EngineLocation(address=default, named_by="the default", tried=tried, setting=setting)
    here = _here(known_sockets())
    tried += (f"{default}: not there",)
    if len(here) == 1:
        return EngineLocation(
            address=here[0].address,
            named_by=f"the socket of {here[0].engine}, the only one here",
            tried=tried,
            is_ours=True,
            setting=setting,
        )
    if not here:
        engines = dict.fromkeys(engine for engine, _ in SOCKETS)
        tried += (f"sockets of {', '.join(engines)}: none is there",)
    return EngineLocation(address=default, named_by="the default", tried=tried, candidates=here, setting=setting)


def known_sockets() -> tuple[FoundSocket, ...]:
    """Return where engines have their sockets for this user, whether they are there or not."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{_user()}"
    home = os.path.expanduser("~")  # noqa: PTH111 - Path fails without a home
    return tuple(
        FoundSocket(engine=engine, address=_UNIX + path.format(runtime=runtime, home=home)) for engine, path in SOCKETS
    )


def is_there(path: str) -> bool:
    """Tell whether a path is there, be it a link that leads nowhere: the default engine is down then, and meant."""
    return os.path.lexists(path)  # Path.exists raises where a folder may not be entered


def _user() -> int:
    return int(getattr(os, "getuid", int)())  # Windows has none, and is not asked


def _here(sockets: tuple[FoundSocket, ...]) -> tuple[FoundSocket, ...]:
    """Return those that are there; of several names of one socket the first, and no link that leads nowhere."""
    found: dict[str, FoundSocket] = {}
    for socket in sockets:
        path = socket.address.removeprefix(_UNIX)
        real = os.path.realpath(path)
        if is_there(path) and is_there(real):
            found.setdefault(real, socket)
    return tuple(found.values())


def _checked(address: str, platform: str) -> str:
    try:
        check_engine_address(address, platform)
    except EngineAddressError as error:
        raise UsageError(
            f"The address of the Docker engine {error}",
            where=f"environment variable {_HOST}",
            fix=f"write it like this: {_HOST}={error.right}",
        ) from None
    return address
