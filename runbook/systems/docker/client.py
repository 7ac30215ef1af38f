"""Docker: the runtime of a live installation, through the Docker SDK."""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from runbook.errors import AnswerError, UsageError
from runbook.systems.addresses import holds_password
from runbook.systems.docker.errors import unreachable
from runbook.systems.docker.wire import (
    Inspected,
    Listed,
    demultiplexed,
    engine_host,
    matching,
    nearest,
    only_file,
)
from runbook.systems.gotime import moment
from runbook.systems.http import EXCERPT_CHARACTERS, shortened
from runbook.systems.runtime import LogLine, Mount, PublishedPort, Service, ServiceState
from runbook.systems.runtime_settings import RuntimeSettings

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")

MAX_FILE_BYTES: Final = 20_000_000
_TAR_OVERHEAD_BYTES: Final = 20_480
_CHUNK_BYTES: Final = 65_536
_NO_FILE: Final = (b"No such file or directory", b"Is a directory", b"Not a directory")
_NO_PROGRAM: Final = frozenset({126, 127})
_ENDED: Final = frozenset({"exited", "dead", "restarting"})
_LINE: Final = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) ?(.*)", flags=re.DOTALL)


class DockerRuntime:
    """The containers of one engine, as `runbook.systems.runtime.Runtime` asks for them.

    A container is found by its exact name, else by its compose label where that leads to one alone. Raises
    UnreachableError with a `reason` of "missing" (no socket), "refused", "permission", "timeout", "dns" or "broken";
    AnswerError, with code "no_container" where a container is needed and there is none, "several_containers" where
    the label leads to more than one. Connects on first use.
    """

    def __init__(self, settings: RuntimeSettings, timeout_s: float = 10) -> None:
        """Keep the address; nothing is opened. Raises UsageError when DOCKER_HOST holds a password."""
        self._settings = settings
        self._timeout_s = timeout_s
        self._address = settings.docker_host or _docker_host()
        self._where = f"Docker engine at {self._address or 'its default socket'}"
        self._lock = threading.Lock()
        self._opened: APIClient | None = None

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
            status=state.status,
            exit_code=state.exit_code if state.status in _ENDED else None,
            started_at=moment(state.started_at),
            restart_count=inspected.restart_count,
            oom_killed=state.oom_killed,
            health=state.health.status.replace("none", "") if state.health else "",
            probe_said=probe.said if probe else "",
            probe_is_missing=probe is not None and probe.is_missing,
        )

    def restart(self, service: Service, *, timeout_s: float) -> None:
        """Stop the container (by force after `timeout_s`) and start it; return once the engine has started it."""
        found = self._found(service)
        with self._asking("restart") as engine:
            engine.restart(found.id, timeout=ceil(timeout_s))

    def log(self, service: Service, *, since: datetime | None = None, tail: int | None = None) -> tuple[LogLine, ...]:
        """Return its lines since a time (UTC), or the last `tail` ones, stdout and stderr in the engine's order."""
        found = self._found(service)
        with self._asking("log") as engine:
            output = engine.logs(found.id, timestamps=True, since=_epoch(since), tail="all" if tail is None else tail)
        return tuple(_line(line) for line in output.split(b"\n") if line)

    def follow(self, service: Service, *, since: datetime | None = None) -> Iterator[LogLine]:
        """Yield its lines as they come, until the caller stops or the container ends."""
        found = self._found(service)
        with self._asking("log") as engine:
            stream = engine.logs(found.id, stream=True, follow=True, timestamps=True, since=_epoch(since))
            rest = b""
            try:
                for chunk in stream:
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (_line(line) for line in lines)
                if rest:
                    yield _line(rest)
            finally:
                stream.close()

    def file_inside(self, service: Service, path: str) -> bytes | None:
        """Return a file as the container sees it; None if there is none.

        A running container reads it itself, with `cat`. The engine's archive would not do: for that, the engine mounts
        the sources anew, so a file that was replaced by renaming looks new there, while the container still has the
        old one (measured with engine 20.10). A stopped container will see what the archive holds when it starts.
        """
        found = self._found(service)
        if found.state == "running":
            return self._own_reading(found, path)
        archive, link_target = self._archive(found, path)
        if link_target:
            archive, _ = self._archive(found, link_target)
        return None if archive is None else only_file(archive)

    def mounts(self, service: Service) -> tuple[Mount, ...]:
        """Return its bind mounts; volumes are none."""
        mounts = self._inspected(self._found(service)).mounts
        return tuple(Mount(source=one.source, destination=one.destination) for one in mounts if one.type == "bind")

    def networks(self, service: Service) -> frozenset[str]:
        """Return the names of the networks it is on."""
        return frozenset(self._inspected(self._found(service)).network_settings.networks)

    def published(self, service: Service) -> tuple[PublishedPort, ...]:
        """Return the ports that the engine maps to its host, each address on its own (0.0.0.0 and :: are two)."""
        return self._inspected(self._found(service)).network_settings.published

    def host(self) -> str:
        """Return "localhost", or the host of DOCKER_HOST=tcp://HOST:PORT; nothing is asked."""
        return engine_host(self._address)

    def start_command(self, service: Service) -> str:
        """Return the command that starts it: unpause, start, or create where there is none."""
        found = self._meant(self._listed(), service)
        if found is None:
            return f"docker compose up -d {service.name}"
        return f"docker {'unpause' if found.state == 'paused' else 'start'} {found.name}"

    def log_command(self, service: Service) -> str:
        """Return the command that shows its last lines."""
        found = self._meant(self._listed(), service)
        return f"docker logs --tail 100 {found.name if found else service.container}"

    def close(self) -> None:
        """Close the connections to the engine."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _listed(self) -> list[Listed]:
        with self._asking("list of containers") as engine:
            return self._read(engine.containers(all=True), list[Listed])

    def _found(self, service: Service) -> Listed:
        listed = self._listed()
        found = self._meant(listed, service)
        if found is None:
            near = ", ".join(nearest(listed, service)) or "none is similar"
            raise AnswerError(
                f"There is no container {service.container} and no compose service {service.name} (nearest: {near})",
                where=self._where,
                fix=f"docker compose up -d {service.name}",
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
                where=self._where,
                fix=f"set {service.setting or 'its container in runbook.toml'} to the name of the one that is meant",
                status=HTTPStatus.OK,
                code="several_containers",
            )
        return found[0] if found else None

    def _inspected(self, container: Listed) -> Inspected:
        with self._asking(f"state of {container.name}") as engine:
            return self._read(engine.inspect_container(container.id), Inspected)

    def _own_reading(self, container: Listed, path: str) -> bytes | None:
        """Let the container print a file."""
        with self._asking(f"file {path}") as engine:
            command = engine.exec_create(container.id, ["cat", path])["Id"]
            printed = self._printed(engine, command, container, path)
            code = engine.exec_inspect(command)["ExitCode"]
        content, complaint = demultiplexed(printed)
        if code == 0:
            return content
        if complaint.rstrip().endswith(_NO_FILE):
            return None
        said = (complaint or content).decode("utf-8", errors="replace").strip()
        raise AnswerError(
            f"{container.name} could not read {path}: {shortened(said, EXCERPT_CHARACTERS)}",
            where=self._where,
            fix="docker exec works with an image that holds `cat`, and with a file that its user may read",
            status=HTTPStatus.OK,
            code="no_cat" if code in _NO_PROGRAM else "unreadable",
        )

    def _printed(self, engine: "APIClient", command: str, container: Listed, path: str) -> bytes:
        """Start a command and return its output, multiplexed.

        The SDK's own `exec_start` takes the bare socket after the headers, and loses what came in together with them:
        1 of 60 outputs on a busy machine (measured with docker 7.1). An answer that is read as HTTP loses nothing.
        """
        from docker.errors import APIError

        url = f"{engine.base_url}/v{engine.api_version}/exec/{command}/start"
        printed = bytearray()
        with engine.post(url, json={"Detach": False, "Tty": False}, stream=True, timeout=self._timeout_s) as answer:
            if not answer.ok:
                raise APIError(answer.reason, response=answer, explanation=answer.text)
            for chunk in answer.iter_content(_CHUNK_BYTES):
                printed += chunk
                if len(printed) > MAX_FILE_BYTES + _TAR_OVERHEAD_BYTES:
                    raise self._too_large(container, path)
        return bytes(printed)

    def _too_large(self, container: Listed, path: str) -> AnswerError:
        return AnswerError(
            f"{path} in {container.name} has more than {MAX_FILE_BYTES:,} bytes",
            where=self._where,
            fix="check the path: it should be a configuration file",
            status=200,
            code="too_large",
        )

    def _archive(self, container: Listed, path: str) -> tuple[bytes | None, str]:
        """Return a path as a tar archive (None: no such path), and where it points if it is a link."""
        from docker.errors import NotFound

        with self._asking(f"file {path}") as engine:
            try:
                chunks, stat = engine.get_archive(container.id, path)
            except NotFound:
                return None, ""
            archive = bytearray()
            for chunk in chunks:
                archive += chunk
                if len(archive) > MAX_FILE_BYTES + _TAR_OVERHEAD_BYTES:
                    chunks.close()
                    raise self._too_large(container, path)
            return bytes(archive), stat.get("linkTarget") or ""

    def _read(self, answer: object, kind: type[T]) -> T:
        try:
            return msgspec.convert(answer, kind)
        except msgspec.ValidationError as error:
            seen = f"The Docker engine answered in an unknown shape: {error}"
            raise AnswerError(seen, where=self._where, fix="docker version", status=200, code="shape") from None

    @contextmanager
    def _asking(self, what: str) -> "Iterator[APIClient]":
        from docker.errors import APIError, DockerException
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield self._engine()
        except APIError as error:
            raise AnswerError(
                f"The Docker engine refused ({what}): {error.status_code} {error.explanation}",
                where=self._where,
                fix="docker ps -a",
                status=error.status_code or 0,
            ) from None
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise unreachable(error, self._where) from None

    def _engine(self) -> "APIClient":
        """Return the client, connected on first use: that asks the engine for its API version."""
        from docker import APIClient
        from docker.utils import kwargs_from_env

        with self._lock:
            if self._opened is None:
                host = self._settings.docker_host
                environment = {**os.environ, "DOCKER_HOST": host} if host else dict(os.environ)
                self._opened = APIClient(timeout=ceil(self._timeout_s), **kwargs_from_env(environment=environment))
            return self._opened


def _docker_host() -> str | None:
    address = os.environ.get("DOCKER_HOST")
    if address and holds_password(address):
        raise UsageError(
            "The address of the Docker engine holds a password, which Docker does not take",
            where="environment variable DOCKER_HOST",
            fix="use TLS (DOCKER_CERT_PATH) or ssh://USER@HOST",
        )
    return address


def _epoch(at: datetime | None) -> float | None:
    """Return seconds since 1970: the SDK cannot take a time that has a zone."""
    return None if at is None else at.timestamp()


def _line(raw: bytes) -> LogLine:
    text = raw.decode("utf-8", errors="replace").rstrip("\r")
    stamped = _LINE.fullmatch(text)
    return LogLine(text=stamped[2], at=moment(stamped[1])) if stamped else LogLine(text=text)
