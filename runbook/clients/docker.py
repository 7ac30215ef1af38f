"""Docker: the runtime of a live installation, through the Docker SDK."""

from collections.abc import Iterator
from datetime import datetime

from runbook.clients.runtime import LogLine, Mount, Service, ServiceState
from runbook.settings import RuntimeSettings


class DockerRuntime:
    """The containers of one engine, as `runbook.clients.runtime.Runtime` asks for them.

    Raises UnreachableError with a `reason` of "missing" (no socket), "refused", "permission", "timeout", "dns" or
    "broken"; AnswerError with code "no_container" where a container is needed and there is none.
    """

    def __init__(self, settings: RuntimeSettings, timeout_s: float = 10) -> None:
        """Keep the address; nothing is opened."""
        self._settings = settings
        self._timeout_s = timeout_s

    def state(self, service: Service) -> ServiceState:
        """Return the container's state; a missing one is a state, with the nearest names."""
        raise NotImplementedError

    def restart(self, service: Service, *, timeout_s: float) -> None:
        """Restart the container and return once it has been started."""
        raise NotImplementedError

    def log(self, service: Service, *, since: datetime | None = None, tail: int | None = None) -> tuple[LogLine, ...]:
        """Return its lines since a time (UTC), or the last `tail` ones."""
        raise NotImplementedError

    def follow(self, service: Service, *, since: datetime | None = None) -> Iterator[LogLine]:
        """Yield its lines as they come, until the caller stops."""
        raise NotImplementedError

    def file_inside(self, service: Service, path: str) -> bytes | None:
        """Return a file as the container sees it; None if there is none."""
        raise NotImplementedError

    def mounts(self, service: Service) -> tuple[Mount, ...]:
        """Return its bind mounts."""
        raise NotImplementedError

    def networks(self, service: Service) -> frozenset[str]:
        """Return the names of the networks it is on."""
        raise NotImplementedError

    def start_command(self, service: Service) -> str:
        """Return the command that starts it."""
        raise NotImplementedError

    def log_command(self, service: Service) -> str:
        """Return the command that shows its log."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections to the engine."""
        raise NotImplementedError
