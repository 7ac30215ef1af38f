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
from runbook.local_stack.kept_files import StackEnd, keep_changed, note_written
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
_TARGET: Final = "target.toml"
_PORTS: Final = ("PROMETHEUS", "ALERTMANAGER", "GRAFANA", "KAFKA", "KEYCLOAK", "TRAEFIK", "SINK_METRICS", "SINK_HTTP")
_CHOICE: Final = range(20_000, 32_000)  # as in ports.py: below what systems hand to outgoing connections
_PROJECT: Final = "com.docker.compose.project"
_REMOVE: Final = {"container": ("rm", "--force", "--volumes"), "network": ("rm",), "volume": ("rm",)}  # in this order


def up(directory: Path, observer: Observer, *, environment: Mapping[str, str] = os.environ) -> Path:
    """Bring the stack of a working directory up, or what is missing of it; return the settings of target `docker`.

    `environment` may hold the variables of monitoring/compose.yaml. Its ports are chosen here, and its passwords where
    the environment has none; a stack that is there keeps its files and variables, but for images that are named.
    Raises UsageError without Docker or without an image of AetherLink's own, RunbookError when an image cannot be
    pulled, a container of another installation has one of the names, or a service is not ready in time: it is named,
    the others run on, and the next `up` starts what is missing. An interrupt removes a stack that was not there before.
    """
    folder = directory.resolve() / FOLDER
    with target_lock(directory / STATE_DIR, target=DOCKER):
        compose = compose_command()
        _refuse_another_installation(directory)
        is_there = (folder / _TARGET).exists()
        variables_ = {**_saved(folder), **_images(environment)} if is_there else dict(environment)
        images = named_images(reference() / _COMPOSE, variables_)
        pull_missing([images[service] for service in _services(variables_)], observer)
        if is_there:
            _write_variables(folder, variables_)
            _resume(directory, observer)
            return _started(folder, compose, variables_, observer)
        _end(directory, observer)
        try:
            chosen = _prepared(directory, environment)
            return _started(folder, compose, chosen, observer)
        except RunbookError:
            raise
        except BaseException:
            with uninterrupted():
                _end(directory, observer)
            raise


def down(directory: Path, observer: Observer) -> StackEnd:
    """Remove the stack's containers, networks, volumes and folder, and tell if there were any; images stay.

    Files in the folder that somebody has changed since `stack.up`, setup included, are kept and named. Raises
    RunbookError, and leaves the folder, where one cannot be kept.
    """
    with target_lock(directory / STATE_DIR, target=DOCKER):
        end = _end(directory, observer)
    observer.says("the stack has been removed" if end.has_run else "nothing is there")
    return end


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
    return _services(_saved(directory / FOLDER))


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


def _saved(folder: Path) -> dict[str, str]:
    """Return the variables that the stack in a folder was made with; none without one."""
    written = folder / "monitoring" / _VARIABLES
    lines = written.read_text(encoding="utf-8").splitlines() if written.exists() else []
    return dict(line.split("=", 1) for line in lines)


def _images(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the images that the environment names."""
    names = {one.variable for one in named_images(reference() / _COMPOSE, environment).values()}
    return {name: environment[name] for name in sorted(names) if environment.get(name)}


def _prepared(directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Make the folder with the copied files and the target; return the variables, ports and passwords included."""
    folder = directory.resolve() / FOLDER
    monitoring = folder / "monitoring"
    shutil.copytree(reference(), monitoring)
    ports = _free_ports()
    named = {name: environment[name] for name in sorted(variables(monitoring / _COMPOSE)) if environment.get(name)}
    chosen = {"COMPOSE_PROJECT_NAME": project(directory), **_secrets(environment), **named}
    chosen |= {f"{name}_PORT": str(port) for name, port in ports.items()}
    _write_variables(folder, chosen)
    write_private(folder / _TARGET, toml(_target(ports)))
    note_written(folder, monitoring, folder / _TARGET)
    return chosen


def _write_variables(folder: Path, chosen: Mapping[str, str]) -> None:
    """Keep them beside compose.yaml: `docker compose ps` in that folder then speaks of this stack."""
    lines = (f"{name}={value}\n" for name, value in chosen.items())
    write_private(folder / "monitoring" / _VARIABLES, "".join(lines).encode())


def _resume(directory: Path, observer: Observer) -> None:
    """Let containers of the stack run on that are paused: compose does not start those."""
    for name in _named(directory, "status=paused"):
        docker("unpause", name)
        observer.says(f"{name} was paused: it runs on")


def _named(directory: Path, *filters: str) -> list[str]:
    """Return the names of the stack's containers that fit."""
    label = f"label={_PROJECT}={project(directory)}"
    options = [word for one in (label, *filters) for word in ("--filter", one)]
    return docker("container", "ls", "--all", *options, "--format", "{{.Names}}").split()


def _started(folder: Path, compose: tuple[str, ...], chosen: Mapping[str, str], observer: Observer) -> Path:
    """Start what does not run of the stack, and wait until all of it is ready; return the settings of the target."""
    every = _services(chosen)
    observer.says(f"starting {len(every)} containers ...")
    awaited = probes({name: int(chosen[f"{name}_PORT"]) for name in _PORTS})
    for some in ([service for service in _FIRST if service in every], list(every)):
        start = (*_ending_with_us(), *compose, "up", "--detach", *some)
        run(start, directory=folder / "monitoring", environment=chosen)
        await_containers({service: awaited.pop(service) for service in some if service in awaited}, observer)
    return folder / _TARGET


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


def _end(directory: Path, observer: Observer) -> StackEnd:
    """Remove what carries the label, until nothing does, and the folder, but for what somebody has changed in it."""
    was_there = False
    while any(_removed(kind, directory) for kind in _REMOVE):
        was_there = True
    folder = directory.resolve() / FOLDER
    kept = keep_changed(folder, directory.resolve() / STATE_DIR) if folder.exists() else ()
    for one in kept:
        observer.says(str(one))
    if folder.exists():
        shutil.rmtree(folder)
    return StackEnd(has_run=was_there, kept=kept)


def _removed(kind: str, directory: Path) -> bool:
    found = listed(kind, f"{_PROJECT}={project(directory)}")
    if found:
        docker(kind, *_REMOVE[kind], *found)
    return bool(found)
