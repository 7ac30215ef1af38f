"""Docker: the runtime of a live installation, through the Docker SDK."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from datetime import datetime
from http import HTTPStatus
from math import ceil
from typing import Final, TypeVar

import msgspec

from runbook.errors import AnswerError
from runbook.systems.docker.asked_once import AskedOnce
from runbook.systems.docker.engine import Engine
from runbook.systems.docker.files import file_inside
from runbook.systems.docker.logs import log_lines
from runbook.systems.docker.rights import RESTART
from runbook.systems.docker.wire import ENDED, Inspected, Listed, engine_host, matching, nearest
from runbook.systems.gotime import moment
from runbook.systems.http_answer import EXCERPT_CHARACTERS
from runbook.systems.runtime import LogLine, Mount, PublishedPort, Service, ServiceState
from runbook.systems.runtime_settings import RuntimeSettings

T = TypeVar("T")

_START: Final = {"paused": "unpause", "running": "restart", "restarting": "restart"}
_GONE: Final = frozenset({"dead", "removing"})


class DockerRuntime:
    """The containers of one engine, as `runbook.systems.runtime.Runtime` asks for them.

    A container is found by its exact name, else by its compose label where that leads to one alone. Raises
    UnreachableError with a `reason` of "missing" (no socket), "refused", "permission", "timeout", "dns" or "broken";
    AnswerError, with code "no_container" where a container is needed and there is none, "several_containers" where
    the label leads to more than one. Connects on first use.
    """

    def __init__(self, settings: RuntimeSettings, timeout_s: float = 10) -> None:
        """Find out where the engine is; nothing is connected to. Raises UsageError as `engine_location` does."""
        self._engine = Engine(settings, timeout_s)
        self._listed: Callable[[], list[Listed]] = self._list

    def at_one_look(self) -> "DockerRuntime":
        """Return the same for one look at all services: the containers are listed once, and inspected every time."""
        same = copy(self)
        same._listed = AskedOnce(self._list)  # noqa: SLF001 - of our own class
        return same

    def state(self, service: Service) -> ServiceState:
        """Return the container's state; a missing one is a state, with the nearest names."""
        listed = self._listed()
        found = self._meant(listed, service)
        if found is None:
            return ServiceState(name=service.container, found=False, nearest=nearest(listed, service))
        inspected = self._inspected(found)
        state = inspected.state
        probe = state.health.probe if state.health else None
        return ServiceState(
            name=found.name,
            found=True,
            status=inspected.status,
            exit_code=state.exit_code if inspected.status in ENDED else None,
            started_at=moment(state.started_at),
            restart_count=inspected.restart_count,
            error=" ".join(state.error.split())[:EXCERPT_CHARACTERS],
            out_of_memory=inspected.is_out_of_memory,
            memory_limit=inspected.memory_limit,
            health=state.health.status.replace("none", "") if state.health else "",
            probe_said=probe.said if probe else "",
            probe_is_missing=probe is not None and probe.is_missing,
        )

    def restart(self, service: Service, *, timeout_s: float) -> None:
        """Stop the container (by force after `timeout_s`) and start it; return once the engine has started it."""
        found = self._found(service)
        with self._engine.asking(f"restart {found.name}", RESTART) as client:
            client.restart(found.id, timeout=ceil(timeout_s))

    def check_restart(self, service: Service) -> None:
        """Ask to restart a container that cannot exist: an engine that would do it answers 404, and does nothing."""
        try:
            with self._engine.asking(f"restart {service.container}", RESTART) as client:
                client.restart(secrets.token_hex(32), timeout=0)
        except AnswerError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def log(self, service: Service, *, since: datetime | None = None, tail: int | None = None) -> tuple[LogLine, ...]:
        """Return its lines since a time (UTC), or the last `tail` ones, stdout and stderr in the engine's order."""
        return tuple(log_lines(self._engine, self._found(service), since=since, tail=tail))

    def log_of_start(self, service: Service, *, tail: int) -> tuple[LogLine, ...]:
        """Return the last `tail` lines since the container was started the last time; none if it never was."""
        found = self._found(service)
        since = self._inspected(found).newest_start
        return tuple(log_lines(self._engine, found, since=since, tail=tail)) if since else ()

    def follow(self, service: Service, *, since: datetime | None = None) -> Iterator[LogLine]:
        """Yield its lines as they come, until the caller stops or the container ends."""
        yield from log_lines(self._engine, self._found(service), since=since, follow=True)

    def file_inside(self, service: Service, path: str) -> bytes | None:
        """Return a file as the container sees it; None if there is none."""
        return file_inside(self._engine, self._found(service), path)

    def mounts(self, service: Service) -> tuple[Mount, ...]:
        """Return its bind mounts; volumes are none."""
        mounts = self._inspected(self._found(service)).mounts
        return tuple(Mount(source=one.source, destination=one.destination) for one in mounts if one.type == "bind")

    def networks(self, service: Service) -> frozenset[str]:
        """Return the names of the networks it is on."""
        return frozenset(self._inspected(self._found(service)).network_settings.networks)

    def published(self, service: Service) -> tuple[PublishedPort, ...]:
        """Return the ports that the engine maps to its host, each address on its own (0.0.0.0 and :: are two)."""
        return self._inspected(self._found(service)).published

    def described(self) -> str:
        """Return the engine's address and what named it; nothing is asked."""
        return self._engine.where

    def host(self) -> str:
        """Return "localhost", or the host of an engine at tcp://HOST:PORT; nothing is asked."""
        return engine_host(self._engine.location.address)

    def start_command(self, service: Service) -> str:
        """Return the command that gets it to run: `docker start` does nothing to a container that runs."""
        found = self._meant(self._listed(), service)
        if found is None:
            return self._creating(service)
        program, inspected = self._engine.program, self._inspected(found)
        if inspected.status in _GONE:
            return f"{program} rm --force {found.name}, then {self._creating(service)}"
        start = f"{program} {_START.get(inspected.own_status, 'start')} {found.name}"
        if not (inspected.is_out_of_memory and inspected.memory_limit):
            return start
        limit = 2 * inspected.memory_limit
        return f"{program} update --memory {limit} --memory-swap {2 * limit} {found.name}, then {start}"

    def recreate_command(self, service: Service) -> str:
        """Return the command that creates its container again; it ends the one that is there."""
        return self._creating(service, "--force-recreate ")

    def log_command(self, service: Service) -> str:
        """Return the command that shows its last lines."""
        found = self._meant(self._listed(), service)
        return f"{self._engine.program} logs --tail 100 {found.name if found else service.container}"

    def close(self) -> None:
        """Close the connections to the engine."""
        self._engine.close()

    def _list(self) -> list[Listed]:
        with self._engine.asking("list of containers") as client:
            return self._read(client.containers(all=True), list[Listed])

    def _found(self, service: Service) -> Listed:
        listed = self._listed()
        found = self._meant(listed, service)
        if found is None:
            near = ", ".join(nearest(listed, service)) or "none is similar"
            raise AnswerError(
                f"There is no container {service.container} and no compose service {service.name} (nearest: {near})",
                where=self._engine.where,
                fix=self._creating(service),
                status=404,
                code="no_container",
            )
        return found

    def _meant(self, listed: Sequence[Listed], service: Service) -> Listed | None:
        """Return the service's container, None where there is none; AnswerError where nothing says which it is."""
        found = matching(listed, service)
        if len(found) > 1:
            raise AnswerError(
                f"{len(found)} containers run the compose service {service.name}, and none is called "
                f"{service.container}: {', '.join(one.described for one in found)}",
                where=self._engine.where,
                fix=f"set {service.setting or 'its container in runbook.toml'} to the name of the one that is meant",
                status=HTTPStatus.OK,
                code="several_containers",
            )
        return found[0] if found else None

    def _inspected(self, container: Listed) -> Inspected:
        with self._engine.asking(f"state of {container.name}") as client:
            return self._read(client.inspect_container(container.id), Inspected)

    def _read(self, answer: object, kind: type[T]) -> T:
        try:
            return msgspec.convert(answer, kind)
        except msgspec.ValidationError as error:
            seen = f"The Docker engine answered in an unknown shape: {error}"
            fix = f"{self._engine.program} version"
            raise AnswerError(seen, where=self._engine.where, fix=fix, status=200, code="shape") from None

    def _creating(self, service: Service, options: str = "") -> str:
        """Return what creates it, in its own project, or in the only one there is if its container is gone."""
        listed = self._listed()
        own = [one.compose for one in matching(listed, service)]
        found = set(own or filter(None, (one.compose for one in listed)))
        project = f"{found.pop()} " if len(found) == 1 and any(found) else ""
        return f"{self._engine.program} compose {project}up -d {options}{service.name}"
