"""What the Docker engine sends: the parts of its JSON that are read, its frames and archives, and who is meant."""

import struct
import tarfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from io import BytesIO
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from runbook.shell import quoted
from runbook.systems.addresses import is_loopback
from runbook.systems.gotime import moment
from runbook.systems.http_answer import EXCERPT_CHARACTERS
from runbook.systems.runtime import PublishedPort, Service

_REMOTE: Final = ("tcp://", "http://", "https://", "ssh://")
_COMPOSE: Final = ("com.docker.compose", "io.podman.compose")
_ONE_OFF_LABEL: Final = "com.docker.compose.oneoff"
_NEAREST: Final = 3
_NEAR_ENOUGH: Final = 0.5
_STDOUT, _STDERR = 1, 2
_EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - what an empty address means to the engine; nothing is bound here
_LOCAL: Final = "localhost"
_NOT_RUN: Final = frozenset({-1, 126, 127})
FRAME: Final = struct.Struct(">BxxxL")
"""What precedes each piece of output: the stream that it belongs to, and its length."""
_LIVE: Final = frozenset({"running", "paused"})
_SIGKILLED: Final = 137
_NOTED_LATE: Final = timedelta(seconds=1)
ENDED: Final = frozenset({"exited", "dead", "restarting"})
"""The states that have an exit code."""
_PODMAN_STATES: Final = {"configured": "created", "initialized": "created", "stopped": "exited", "stopping": "running"}
"""Podman's own words, in Docker's; each lasts a moment, but for a container that was prepared and never started."""


class _Wire(msgspec.Struct, rename="pascal"):
    """Members as the engine's API names them; unknown ones are skipped."""


class Listed(_Wire):
    """A container as the list of containers has it."""

    id: str
    names: list[str] | None
    told_state: str = msgspec.field(name="State")
    created: int
    labels: dict[str, str] | None = None

    @property
    def name(self) -> str:
        """Its name, without the slash that the engine puts before it; else its short id.

        The names that a legacy link gives it in another container (`/web/db`) are not its own.
        """
        own = [name for name in self.names or () if "/" not in name.removeprefix("/")]
        return own[0].removeprefix("/") if own else self.id[:12]

    @property
    def state(self) -> str:
        """Its state, in Docker's words."""
        return _PODMAN_STATES.get(self.told_state, self.told_state)

    @property
    def compose(self) -> str:
        """What is typed for its project after `compose`: the project's name and files, where they are written on it."""
        project, files = self._of_compose("project"), self._of_compose("project.config_files")
        folder = self._of_compose("project.working_dir")
        paths = [_within(folder, one) for one in files.split(",") if one]
        options = [("--project-name", project), *(("--file", one) for one in paths)] if paths else []
        return " ".join(f"{option} {quoted(value)}" for option, value in options if value)

    @property
    def service(self) -> str:
        """The service of Docker Compose that it runs, or nothing; what `docker compose run` starts is none."""
        is_one_off = (self.labels or {}).get(_ONE_OFF_LABEL, "").lower() == "true"
        return "" if is_one_off else self._of_compose("service")

    @property
    def described(self) -> str:
        """Its name with its state, and its project of Docker Compose if it has one."""
        project = self._of_compose("project")
        return f"{self.name} ({self.state}{f', project {project}' if project else ''})"

    def _of_compose(self, what: str) -> str:
        """Return what Docker Compose, else podman-compose, has written on it."""
        found = ((self.labels or {}).get(f"{program}.{what}") for program in _COMPOSE)
        return next(filter(None, found), "")


def _within(folder: str, path: str) -> str:
    """Return a path of the host that compose was called on, which may be another system's than this one."""
    kind = PureWindowsPath if "\\" in folder or PureWindowsPath(path).drive else PurePosixPath
    return str(kind(folder, path))


class _Probe(_Wire):
    """One run of a health check."""

    exit_code: int
    output: str

    @property
    def said(self) -> str:
        return f"exit code {self.exit_code}: {' '.join(self.output.split())[:EXCERPT_CHARACTERS]}"

    @property
    def is_missing(self) -> bool:
        """Whether its program could not be run: the engine says so with -1, a shell with 126 or 127."""
        return self.exit_code in _NOT_RUN


class _Health(_Wire):
    status: str = ""
    log: list[_Probe] | None = None  # oldest first; the engine keeps five

    @property
    def probe(self) -> _Probe | None:
        return self.log[-1] if self.log else None


class _State(_Wire):
    status: str
    exit_code: int
    started_at: str
    oom_killed: bool = msgspec.field(name="OOMKilled")
    finished_at: str = ""
    error: str = ""
    health: _Health | None = None


class _Mounted(_Wire):
    type: str
    source: str
    destination: str


class _Binding(_Wire):
    host_ip: str
    host_port: str


class _Networks(_Wire):
    networks: dict[str, Any]
    ports: dict[str, list[_Binding] | None] | None = None  # "9105/tcp" -> where; null: exposed, and not published

    @property
    def published(self) -> tuple[PublishedPort, ...]:
        return tuple(
            PublishedPort(
                port=int(inside.partition("/")[0]),
                protocol=inside.partition("/")[2],
                address=one.host_ip or _EVERY_ADDRESS,
                host_port=int(one.host_port),
            )
            for inside, bindings in (self.ports or {}).items()
            for one in bindings or ()
        )


class _HostConfig(_Wire):
    memory: int = 0


class Inspected(_Wire):
    """A container as its inspection has it."""

    state: _State
    restart_count: int
    mounts: list[_Mounted]
    network_settings: _Networks
    host_config: _HostConfig = msgspec.field(default_factory=_HostConfig)

    @property
    def status(self) -> str:
        """Its state, in Docker's words. One that Podman starts over and over is stopped between two starts."""
        if self.state.status == "stopped" and self.restart_count:
            return "restarting"
        return self.own_status

    @property
    def own_status(self) -> str:
        """Its state at this moment, in Docker's words: what is typed fits that."""
        return _PODMAN_STATES.get(self.state.status, self.state.status)

    @property
    def is_out_of_memory(self) -> bool:
        """Whether it ended because of its use of memory: the kernel ends with SIGKILL.

        The engine's mark alone is no proof: a child may have been killed, or an earlier start (measured with 20.10).
        """
        return self.status in ENDED and self.state.oom_killed and self.state.exit_code == _SIGKILLED

    @property
    def memory_limit(self) -> int:
        """The bytes that it may use; 0 is no limit of its own."""
        return self.host_config.memory

    @property
    def newest_start(self) -> datetime | None:
        """When its newest start began to write; None if it never started.

        The engine notes a start when the program runs already: its first lines can be older. The end of the start
        before, which a running container keeps, is the exact border.
        """
        started, ended = moment(self.state.started_at), moment(self.state.finished_at)
        if started is None:
            return None
        earliest = started - _NOTED_LATE
        return max(earliest, ended) if ended and ended < started else earliest

    @property
    def published(self) -> tuple[PublishedPort, ...]:
        """The ports that are mapped to it now: Podman goes on listing those of a container that has ended."""
        return self.network_settings.published if self.status in _LIVE else ()


def engine_host(address: str | None) -> str:
    """Return the host of an engine as it is called from here; a socket, a pipe and a loopback address are this host.

    The near end of a tunnel looks like this host, too: nothing here can tell.
    """
    name = urlsplit(address or "").hostname if (address or "").startswith(_REMOTE) else None
    return _LOCAL if name is None or is_loopback(name) else name


def matching(listed: Sequence[Listed], service: Service) -> tuple[Listed, ...]:
    """Return the containers that may be the service: the one of that exact name, else those with the compose label.

    Several of one label are not decided here: other projects have services of that name, too, a service may have been
    scaled, and the one that runs need not be the one that is meant.
    """
    name = service.container.removeprefix("/")
    named = tuple(one for one in listed if one.name == name)
    return named or tuple(one for one in listed if one.service == service.name)


def nearest(listed: Sequence[Listed], service: Service) -> tuple[str, ...]:
    """Return the names that are closest to the service's, for who has mistyped one."""
    names = [one.name for one in listed]
    close = [
        *get_close_matches(service.container, names, n=_NEAREST, cutoff=_NEAR_ENOUGH),
        *get_close_matches(service.name, names, n=_NEAREST, cutoff=_NEAR_ENOUGH),
    ]
    return tuple(dict.fromkeys(close))[:_NEAREST]


def demultiplexed(frames: bytes) -> tuple[bytes, bytes]:
    """Return standard output and standard error; each frame is stream, three zero bytes, length, bytes."""
    streams = {_STDOUT: bytearray(), _STDERR: bytearray()}
    at = 0
    while at < len(frames):
        stream, length = FRAME.unpack_from(frames, at)
        at += FRAME.size
        streams[stream] += frames[at : at + length]
        at += length
    return bytes(streams[_STDOUT]), bytes(streams[_STDERR])


def only_file(archive: bytes) -> bytes | None:
    """Return the regular file of an archive of one path; None for a folder."""
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        member = tar.next()
        content = tar.extractfile(member) if member is not None and member.isfile() else None
        return None if content is None else content.read()
