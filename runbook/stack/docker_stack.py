"""The stack in containers: monitoring/ as it is, 10 s between scrapes, with images of our own where none can be pulled.

Names, labels, networks and single-file mounts are those of an installation in the field, so whatever is proven here
is proven for target `live`. Since the names are fixed, there is one such stack per engine, and it is refused where
containers of an installation already have them. Everything that is made carries the project's label: `down` needs
nothing else to find it, also after a crash.
"""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runbook.clients.launcher import write_private
from runbook.errors import RunbookError, WaitError
from runbook.interrupts import uninterrupted
from runbook.listings import Part
from runbook.locks import target_lock
from runbook.observer import Observer
from runbook.settings import DOCKER, STACKS, STATE_DIR
from runbook.stack.engine import compose_command, docker, listed, run
from runbook.stack.images import CHECKOUT, PLAYS, built_images, part_of
from runbook.stack.ports import is_taken
from runbook.stack.readiness import missing_for
from runbook.stack.target import Tables, toml
from runbook.waiting import Pending, wait_until

FOLDER: Final = STACKS[DOCKER][0]
SERVICES: Final[Mapping[str, str]] = {
    "prometheus": "aether-prom",
    "alertmanager": "aether-alertmanager",
    "grafana": "aether-grafana",
    "kafka": "kafka",
    "keycloak": "aether-keycloak",
    "traefik": "aether-traefik",
    "gateway": "aether-gateway",
    "apexflow": "aether-apexflow",
    "crm-events-sink": "aether-crm-events-sink",
}
"""Compose service -> container. ApexFlow's database is SQLite inside its stand-in, and nobody asks the exporter."""

_PORTS: Final = ("PROMETHEUS", "ALERTMANAGER", "GRAFANA", "KAFKA", "KEYCLOAK", "TRAEFIK", "SINK_METRICS", "SINK_HTTP")
_CHOICE: Final = range(20_000, 32_000)  # as in ports.py: below what systems hand to outgoing connections
_PROJECT: Final = "com.docker.compose.project"
_REMOVE: Final = {"container": ("rm", "--force", "--volumes"), "network": ("rm",), "volume": ("rm",)}  # in this order
_READY_S: Final = 90.0
_LOG_LINES: Final = "15"

Ports = Mapping[str, int]


def up(directory: Path, observer: Observer) -> Path:
    """Bring the stack of a working directory up, anew if it was up before; return the settings of target `docker`.

    Raises UsageError when Docker or the images cannot be had, RunbookError when a container of another installation
    has one of the names, or a part does not become ready: nothing of the stack is left then.
    """
    with target_lock(directory / STATE_DIR, target=DOCKER):
        compose = compose_command()
        _refuse_another_installation(directory)
        images = built_images(observer.says)
        _end(directory)
        try:
            return _started(directory, compose, images, observer)
        except BaseException:
            with uninterrupted():
                _end(directory)
            raise


def down(directory: Path, observer: Observer) -> bool:
    """Remove the stack's containers, networks, volumes and folder, and tell if there were any; images stay."""
    with target_lock(directory / STATE_DIR, target=DOCKER):
        was_there = _end(directory)
    observer.says("the stack has been removed" if was_there else "nothing is there")
    return was_there


def status(directory: Path) -> tuple[Part, ...]:
    """Return every container of the stack as the engine has it now; nothing if there is none."""
    label = f"label={_PROJECT}={project(directory)}"
    lines = docker("container", "ls", "--all", "--filter", label, "--format", "{{json .}}").splitlines()
    containers = {container["Names"]: container for container in map(json.loads, lines)}
    return tuple(_part(service, containers[name]) for service, name in SERVICES.items() if name in containers)


def _part(service: str, container: Mapping[str, str]) -> Part:
    built = part_of(container["Image"])
    return Part(
        name=service,
        plays=f"{container['Names']}: {PLAYS[built][0] if built else container['Image']}",
        kind=PLAYS[built][1] if built else "real",
        running=container["State"] == "running",
        pid=None,
        address=container["Ports"].partition("->")[0],
        detail=container["Status"],
    )


def project(directory: Path) -> str:
    """Return the compose project of a working directory: one folder never ends the stack of another."""
    return f"crm-runbook-{hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:8]}"


def _started(directory: Path, compose: tuple[str, ...], images: Mapping[str, str], observer: Observer) -> Path:
    folder = directory.resolve() / FOLDER
    monitoring = folder / "monitoring"
    shutil.copytree(CHECKOUT / "monitoring", monitoring)
    ports = _free_ports()
    write_private(monitoring / ".env", _environment(directory, images, ports))
    observer.says(f"starting {len(SERVICES)} containers ...")
    run((*_ending_with_us(), *compose, "up", "--detach", *SERVICES), directory=monitoring)
    _wait(_addresses(ports), observer)
    write_private(folder / "target.toml", toml(_target(ports)))
    return folder / "target.toml"


def _ending_with_us() -> tuple[str, ...]:
    """Return what makes a child end with this process, also after SIGKILL: compose must not go on behind `down`."""
    return ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


def _environment(directory: Path, images: Mapping[str, str], ports: Ports) -> bytes:
    """Return `.env` beside compose.yaml: `docker compose ps` in that folder then speaks of this stack."""
    lines = {"COMPOSE_PROJECT_NAME": project(directory), **images}
    lines |= {f"{name}_PORT": str(port) for name, port in ports.items()}
    return "".join(f"{name}={value}\n" for name, value in lines.items()).encode()


def _free_ports() -> dict[str, int]:
    candidates = random.SystemRandom().sample(_CHOICE, len(_CHOICE))
    free = (port for port in candidates if not is_taken(port))
    return {name: next(free) for name in _PORTS}


def _addresses(ports: Ports) -> dict[str, str]:
    return {
        "kafka": f"tcp://127.0.0.1:{ports['KAFKA']}",
        "keycloak": f"{_url(ports['KEYCLOAK'])}/realms/aetherlink",
        "traefik": f"tcp://127.0.0.1:{ports['TRAEFIK']}",
        "crm-events-sink": f"{_url(ports['SINK_HTTP'])}/readyz",
        "alertmanager": f"{_url(ports['ALERTMANAGER'])}/-/ready",
        "prometheus": f"{_url(ports['PROMETHEUS'])}/-/ready",
        "grafana": f"{_url(ports['GRAFANA'])}/api/health",
    }


def _wait(addresses: Mapping[str, str], observer: Observer) -> None:
    missing = dict(addresses)

    def look() -> Pending | None:
        for name, address in tuple(missing.items()):
            if not missing_for(address):
                del missing[name]
                observer.says(f"{SERVICES[name]} answers")
        return Pending(", ".join(SERVICES[name] for name in missing)) if missing else None

    try:
        wait_until(look, what="The Docker stack", deadline_s=_READY_S, every_s=0.2, where="127.0.0.1", fix="")
    except WaitError:
        raise _did_not_come(next(iter(missing.items()))) from None


def _did_not_come(part: tuple[str, str]) -> RunbookError:
    """Name the first part that is missing, with the last words of its container, before it is removed."""
    service, address = part
    words = docker("logs", "--tail", _LOG_LINES, SERVICES[service], with_errors=True)
    return RunbookError(
        f"{SERVICES[service]} did not come up within {_READY_S:g} s: {missing_for(address)}\n{words.rstrip()}",
        where=address,
        fix="see the lines above; then inv stack.up --docker",
    )


def _target(ports: Ports) -> Tables:
    """Return group -> setting -> value. Where the files are is not said: it is asked of the mounts, as in the field."""
    engine = os.environ.get("DOCKER_HOST")
    return {
        "runtime": {"kind": "docker"} | ({"docker_host": engine} if engine else {}),
        "keycloak": {"url": _url(ports["KEYCLOAK"])},
        "gateway": {"url": _url(ports["TRAEFIK"])},
        "kafka": {"bootstrap": f"127.0.0.1:{ports['KAFKA']}"},
        "sink": {"metrics_url": f"{_url(ports['SINK_METRICS'])}/metrics", "http_url": _url(ports["SINK_HTTP"])},
        "prometheus": {"url": _url(ports["PROMETHEUS"])},
        "alertmanager": {"url": _url(ports["ALERTMANAGER"])},
        "grafana": {"url": _url(ports["GRAFANA"])},
    }


def _refuse_another_installation(directory: Path) -> None:
    """A container of our names that is not of our project is somebody's installation: hands off."""
    names = set(SERVICES.values())
    every = docker("container", "ls", "--all", "--format", "{{json .}}").splitlines()
    for container in map(json.loads, every):
        if container["Names"] in names and f"{_PROJECT}={project(directory)}" not in container["Labels"].split(","):
            raise RunbookError(
                f"This engine has a container {container['Names']} already, and it is not of this stack",
                where=f"{container['Image']}, {container['Status']}",
                fix="use another engine (DOCKER_HOST), or the stack without Docker: inv stack.up",
            )


def _end(directory: Path) -> bool:
    """Remove what carries the label, until nothing does."""
    was_there = False
    while any(_removed(kind, directory) for kind in _REMOVE):
        was_there = True
    folder = directory.resolve() / FOLDER
    if folder.exists():
        shutil.rmtree(folder)
    return was_there


def _removed(kind: str, directory: Path) -> bool:
    found = listed(kind, f"{_PROJECT}={project(directory)}")
    if found:
        docker(kind, *_REMOVE[kind], *found)
    return bool(found)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
