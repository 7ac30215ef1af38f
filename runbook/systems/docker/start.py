"""How an engine is started, by where it is: each has a way of its own."""

from typing import Final

from runbook.systems.docker.location import EngineLocation
from runbook.systems.docker.wire import engine_host

_DESKTOP: Final = "start Docker Desktop"
_WAYS: Final = (
    ("colima", "colima start"),
    ("orbstack", "start OrbStack"),
    ("rancher", "start Rancher Desktop"),
    ("/.rd/", "start Rancher Desktop"),
    ("desktop", _DESKTOP),
    ("/.docker/", _DESKTOP),
    ("rootless", "start Docker: systemctl --user start docker"),
    ("/run/user/", "start Docker: systemctl --user start docker"),
)
"""What its address, or the name of its context, holds; the first that fits counts."""


def start_engine(location: EngineLocation, platform: str) -> str:
    """Return what starts it: a command, or a program to start."""
    host = engine_host(location.address)
    if host != "localhost":
        return f"start Docker on {host}"
    name = f"{location.address} {location.context.name if location.context else ''}".lower()
    if "podman" in name:
        return _podman(name, platform)
    for part, way in _WAYS:
        if part in name:
            return way
    return _DESKTOP if platform in {"win32", "darwin"} else "start Docker: sudo systemctl start docker"


def _podman(name: str, platform: str) -> str:
    if platform in {"win32", "darwin"}:
        return "start Podman: podman machine start"
    return f"start Podman: {'sudo systemctl' if '/run/podman/' in name else 'systemctl --user'} start podman.socket"
