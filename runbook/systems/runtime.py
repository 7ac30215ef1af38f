"""What runs the services: one protocol that Docker and local processes both answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How a service is called: `name` in compose (and in the local stack), `container` by hand.

    `setting` is the variable that sets `container`, for who has to choose among several. `is_named` says that the
    target names it: a default name need not be the name of anything.
    """

    name: str
    container: str
    setting: str = ""
    is_named: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What the runtime says of one service.

    `found` is False when neither compose label nor name matches; `nearest` then holds the names closest to it.
    `status` is the runtime's own word ("running", "exited", "paused", "restarting", "created", "dead", "removing");
    `exit_code` only after an exit, `error` what kept it from being started, in the runtime's words.
    `restart_count` counts the starts by the runtime's own restart policy. `out_of_memory` says that it ended because of
    that, at `memory_limit` bytes (0: no limit of its own).
    `health` is the container's health ("healthy", "unhealthy", "starting", "" without a healthcheck), `probe_said` what
    the last probe wrote with its exit code, and `probe_is_missing` that its program could not even be run.
    """

    name: str
    found: bool
    status: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    restart_count: int = 0
    error: str = ""
    out_of_memory: bool = False
    memory_limit: int = 0
    health: str = ""
    probe_said: str = ""
    probe_is_missing: bool = False
    nearest: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        """Running as the runtime sees it; a paused or restarting container is not."""
        return self.found and self.status == "running"

    @property
    def is_stopped(self) -> bool:
        """Whether the runtime knows the service, and knows that it has no process: it has ended, or never began."""
        return self.found and self.status in {"created", "exited", "dead", "removing"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a service's output; `at` is when the runtime received it, None where it does not say."""

    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A bind mount: `source` on the host, `destination` inside."""

    source: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of a service that the services' host passes on: `port` inside, `address` and `host_port` on that host.

    `address` is what it is bound to there ("0.0.0.0" and "::" are every address), so "127.0.0.1" is reached from that
    host alone. A process passes nothing on: its ports are those that it listens at.
    """

    port: int
    protocol: str
    address: str
    host_port: int


class Runtime(Protocol):
    """Find, restart and read services. Whatever has to be asked raises UnreachableError when the engine is down."""

    def at_one_look(self) -> "Runtime":
        """Return the same for one look at all services: what lists them is asked once, the state of each every time."""

    def state(self, service: Service) -> ServiceState:
        """Return the state of a service; a missing one is a state, not an error."""

    def restart(self, service: Service, *, timeout_s: float) -> None:
        """Stop (gently, then after `timeout_s` by force) and start it; return once it has been started."""

    def check_restart(self, service: Service) -> None:
        """Raise RunbookError if a restart would be refused, as far as that can be known; nothing is restarted."""

    def log(self, service: Service, *, since: datetime | None = None, tail: int | None = None) -> tuple[LogLine, ...]:
        """Return its lines since a time (UTC), or the last `tail` ones."""

    def log_of_start(self, service: Service, *, tail: int) -> tuple[LogLine, ...]:
        """Return the last `tail` lines of its newest start; of every start where the runtime cannot tell them apart."""

    def follow(self, service: Service, *, since: datetime | None = None) -> Iterator[LogLine]:
        """Yield its lines as they come, until the caller stops."""

    def file_inside(self, service: Service, path: str) -> bytes | None:
        """Return a file as the service itself sees it; None if there is none."""

    def mounts(self, service: Service) -> tuple[Mount, ...]:
        """Return its bind mounts; a process has none."""

    def networks(self, service: Service) -> frozenset[str]:
        """Return the names of the networks it is on; a process is on "host"."""

    def published(self, service: Service) -> tuple[PublishedPort, ...]:
        """Return the ports that its host passes on to it now; a stopped service has none."""

    def described(self) -> str:
        """Return what is asked, for evidence: an engine with its address and what named it; nothing is asked."""

    def host(self) -> str:
        """Return the host of the services as it is called from here: "localhost", or that of a remote engine."""

    def start_command(self, service: Service) -> str:
        """Return the command that gets it to run as it should from the state it is in.

        Create, start, unpause, restart where it runs, remove and create where it cannot be started any more, and raise
        its memory limit first where it ended because of that.
        """

    def recreate_command(self, service: Service) -> str:
        """Return the command that starts it with the settings that its compose file has now."""

    def log_command(self, service: Service) -> str:
        """Return the command that an operator types to read its log, for fixes."""
