"""The stack in containers: monitoring/ as it is, 10 s between scrapes, with the images that its compose file names.

Names, labels, networks and single-file mounts are those of an installation in the field, so whatever is proven here
is proven for target `live`. Since the names are fixed, there is one such stack per engine, and it is refused where
containers of an installation already have them. Everything that is made carries the project's label: `down` needs
nothing else to find it, also after a crash.
"""

import hashlib
import json
import os
import random
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runbook.errors import RunbookError
from runbook.interrupts import uninterrupted
from runbook.invocation import inv
from runbook.local_stack.containers import DATABASE, NAMES, SERVICES, Ports, await_containers, probes
from runbook.local_stack.engine import compose_command, docker, listed, run
from runbook.local_stack.images import KIND_LABEL, PLAYS_LABEL, named_images, pull_missing, variables
from runbook.local_stack.installation import reference
from runbook.local_stack.ports import is_taken
from runbook.local_stack.service_spec import local_url
from runbook.local_stack.target import Tables, toml
from runbook.locks import target_lock
from runbook.model import ServiceStatus
from runbook.observer import Observer
from runbook.settings import DOCKER, STACKS, STATE_DIR
from runbook.systems.processes.launcher import write_private

FOLDER: Final = STACKS[DOCKER][0]
_FIRST: Final = ("kafka", "keycloak", "apexflow-db")  # others need them when they start
_STORED: Final = {"apexflow": "its data in {}", "crm-events-sink": "its journal in {}"}
_DATABASE: Final = "apexflow-db"
_DATABASE_ADDRESS: Final = f"{_DATABASE}:5432/postgres"  # ApexFlow in the schema public, the journal in its own
_DATABASE_URL: Final = "APEXFLOW_DATABASE_URL"
_COMPOSE: Final = "compose.yaml"
_VARIABLES: Final = ".env"
_PORTS: Final = ("PROMETHEUS", "ALERTMANAGER", "GRAFANA", "KAFKA", "KEYCLOAK", "TRAEFIK", "SINK_METRICS", "SINK_HTTP")
_CHOICE: Final = range(20_000, 32_000)  # as in ports.py: below what systems hand to outgoing connections
_PROJECT: Final = "com.docker.compose.project"
_REMOVE: Final = {"container": ("rm", "--force", "--volumes"), "network": ("rm",), "volume": ("rm",)}  # in this order


def up(directory: Path, observer: Observer, *, environment: Mapping[str, str] = os.environ) -> Path:
    """Bring the stack of a working directory up, new if it was up before; return the settings of target `docker`.

    `environment` may hold the variables of monitoring/compose.yaml. Its ports are chosen here, and its passwords where
    the environment has none. Raises UsageError without Docker or without an image of AetherLink's own, RunbookError
    when an image cannot be pulled, a container of another installation has one of the names, or a service is not
    ready in time: nothing of the stack is left then. What was up before stays up when images are missing.
    """
    with target_lock(directory / STATE_DIR, target=DOCKER):
        compose = compose_command()
        _refuse_another_installation(directory)
        images = named_images(reference() / _COMPOSE, environment)
        pull_missing([images[service] for service in _services(environment)], observer)
        _end(directory)
        try:
            return _started(directory, compose, environment, observer)
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


def status(directory: Path) -> tuple[ServiceStatus, ...]:
    """Return every container of the stack as the engine has it now; nothing if there is none."""
    label = f"label={_PROJECT}={project(directory)}"
    shown = "\t".join((f'{{{{.Label "{PLAYS_LABEL}"}}}}', f'{{{{.Label "{KIND_LABEL}"}}}}', "{{json .}}"))
    lines = docker("container", "ls", "--all", "--filter", label, "--format", shown).splitlines()
    containers = {}
    for line in lines:
        plays, kind, told = line.split("\t", 2)
        container = json.loads(told)
        containers[container["Names"]] = container | {"plays": plays or container["Image"], "kind": kind}
    wanted = services(directory)
    return tuple(_service(service, containers[name], wanted) for service, name in wanted.items() if name in containers)


def services(directory: Path) -> Mapping[str, str]:
    """Return compose service -> container of the stack in this directory."""
    written = directory / FOLDER / "monitoring" / _VARIABLES
    lines = written.read_text(encoding="utf-8").splitlines() if written.exists() else []
    return _services(dict(line.split("=", 1) for line in lines))


def _services(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return compose service -> container. Where ApexFlow has its data elsewhere, no database is started."""
    address = environment.get(_DATABASE_URL) or _DATABASE
    return {**SERVICES, **(DATABASE if _DATABASE in address else {})}


def _service(service: str, container: Mapping[str, str], wanted: Mapping[str, str]) -> ServiceStatus:
    stored = _STORED.get(service, "").format("PostgreSQL" if _DATABASE in wanted else "SQLite")
    return ServiceStatus(
        name=service,
        plays=f"{container['Names']}: {container['plays']}",
        kind="stand-in" if container["kind"] == "stand-in" else "real",
        running=container["State"] == "running",
        pid=None,
        address=next((port for port in container["Ports"].split(", ") if "->" in port), "").partition("->")[0],
        detail="; ".join(filter(None, (container["Status"], stored))),
    )


def project(directory: Path) -> str:
    """Return the compose project of a working directory: one folder never ends the stack of another."""
    return f"crm-runbook-{hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:8]}"


def _started(directory: Path, compose: tuple[str, ...], environment: Mapping[str, str], observer: Observer) -> Path:
    folder = directory.resolve() / FOLDER
    monitoring = folder / "monitoring"
    shutil.copytree(reference(), monitoring)
    ports = _free_ports()
    named = {name: environment[name] for name in sorted(variables(monitoring / _COMPOSE)) if environment.get(name)}
    chosen = {"COMPOSE_PROJECT_NAME": project(directory), **_secrets(environment), **named}
    chosen |= {f"{name}_PORT": str(port) for name, port in ports.items()}
    # Beside compose.yaml: `docker compose ps` in that folder then speaks of this stack.
    write_private(monitoring / _VARIABLES, "".join(f"{name}={value}\n" for name, value in chosen.items()).encode())
    every = _services(environment)
    observer.says(f"starting {len(every)} containers ...")
    awaited = probes(ports)
    for some in ([service for service in _FIRST if service in every], list(every)):
        run((*_ending_with_us(), *compose, "up", "--detach", *some), directory=monitoring, environment=chosen)
        await_containers({service: awaited.pop(service) for service in some if service in awaited}, observer)
    write_private(folder / "target.toml", toml(_target(ports)))
    return folder / "target.toml"


def _ending_with_us() -> tuple[str, ...]:
    """Return what makes a child end with this process, also after SIGKILL: compose must not go on behind `down`."""
    return ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


def _secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return passwords, and the addresses that need one."""
    found = {"KEYCLOAK_ADMIN_PASSWORD": secrets.token_hex()}
    if _DATABASE in _services(environment):
        password = environment.get("APEXFLOW_DB_PASSWORD") or secrets.token_hex()
        found["APEXFLOW_DB_PASSWORD"] = password
        found[_DATABASE_URL] = f"postgresql://postgres@{_DATABASE_ADDRESS}"
        found["POSTGRES_DSN"] = f"postgresql://postgres:{password}@{_DATABASE_ADDRESS}"
    return found


def _free_ports() -> dict[str, int]:
    candidates = random.SystemRandom().sample(_CHOICE, len(_CHOICE))
    free = (port for port in candidates if not is_taken(port))
    return {name: next(free) for name in _PORTS}


def _target(ports: Ports) -> Tables:
    """Return group -> setting -> value. Where the files are is not said: it is asked of the mounts, as in the field."""
    engine = os.environ.get("DOCKER_HOST")
    url = {name: local_url(port) for name, port in ports.items()}
    return {
        "runtime": {"kind": "docker"} | ({"docker_host": engine} if engine else {}),
        "keycloak": {"url": url["KEYCLOAK"]},
        "gateway": {"url": url["TRAEFIK"]},
        "kafka": {"bootstrap": f"127.0.0.1:{ports['KAFKA']}"},
        "sink": {"metrics_url": f"{url['SINK_METRICS']}/metrics", "http_url": url["SINK_HTTP"]},
        "prometheus": {"url": url["PROMETHEUS"]},
        "alertmanager": {"url": url["ALERTMANAGER"]},
        "grafana": {"url": url["GRAFANA"]},
    }


def _refuse_another_installation(directory: Path) -> None:
    """A container of our names that is not of our project is somebody's installation: hands off."""
    ours = f"{_PROJECT}={project(directory)}"
    every = docker("container", "ls", "--all", "--format", "{{json .}}").splitlines()
    for container in map(json.loads, every):
        if container["Names"] in NAMES.values() and ours not in container["Labels"].split(","):
            raise RunbookError(
                f"This engine has a container {container['Names']} already, and it is not of this stack",
                where=f"{container['Image']}, {container['Status']}",
                fix=f"use another engine (DOCKER_HOST), or the stack without Docker: {inv('stack.up')}",
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
