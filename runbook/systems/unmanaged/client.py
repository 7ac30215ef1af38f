"""The runtime of an installation of which only files and addresses are known: nothing can be asked how a service runs.

What the services answer is asked of them. A log can be read where a setting names its file.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

from runbook.errors import RunbookError
from runbook.shell import show_end
from runbook.systems.log_file import follow_log, read_log
from runbook.systems.runtime import LogLine, Mount, PublishedPort, Service, ServiceState

UNKNOWN: Final = "unknown"
"""The state of every service: it may run, or not; that it answers is another question."""


class UnmanagedRuntime:
    """Answers the protocol of `runtime.py` with what is known without a runtime: the logs that settings name."""

    def __init__(self, logs: Mapping[str, Path] | None = None, *, where: str, log_setting: str) -> None:
        """Take the log file of a service by its name, the place of the runtime's setting, and that of the log's."""
        self._logs = dict(logs or {})
        self._where = where
        self._log_setting = log_setting

    def at_one_look(self) -> "UnmanagedRuntime":
        """Return the same: nothing is listed."""
        return self

    def state(self, service: Service) -> ServiceState:
        """Return that nothing is known of it."""
        return ServiceState(name=service.name, found=True, status=UNKNOWN)

    def restart(self, service: Service, *, timeout_s: float) -> None:  # noqa: ARG002 - the protocol's
        """Raise RunbookError: its operator restarts it."""
        self._refuse(f"{service.name} cannot be restarted from here", fix=self.start_command(service))

    def check_restart(self, service: Service) -> None:
        """Raise RunbookError as `restart` does."""
        self._refuse(f"{service.name} cannot be restarted from here", fix=self.start_command(service))

    def log(self, service: Service, *, since: datetime | None = None, tail: int | None = None) -> tuple[LogLine, ...]:
        """Return the lines of its log file. Raises RunbookError where none is set or it cannot be read."""
        path = self._log(service)
        with _readable(path):
            return read_log(path, since=since, tail=tail)

    def log_of_start(self, service: Service, *, tail: int) -> tuple[LogLine, ...]:
        """Return its last lines: nothing tells when it was started. Raises RunbookError as `log` does."""
        return self.log(service, tail=tail)

    def follow(self, service: Service, *, since: datetime | None = None) -> Iterator[LogLine]:
        """Yield the lines of its log file as they come. Raises RunbookError as `log` does."""
        path = self._log(service)
        with _readable(path):
            yield from follow_log(path, since=since)

    def file_inside(self, service: Service, path: str) -> bytes | None:
        """Raise RunbookError: which files a service sees cannot be asked."""
        fix = "compare the two where the service runs"
        self._refuse(f"What {service.name} has as {path} cannot be read from here", fix=fix)

    def mounts(self, service: Service) -> tuple[Mount, ...]:  # noqa: ARG002 - the protocol's
        """Return nothing: where the files are is said by settings."""
        return ()

    def networks(self, service: Service) -> frozenset[str]:
        """Raise RunbookError: that is not known."""
        self._refuse(f"The networks of {service.name} are not known", fix="look where the service runs")

    def published(self, service: Service) -> tuple[PublishedPort, ...]:
        """Raise RunbookError: that is not known."""
        self._refuse(f"The ports of {service.name} are not known", fix="look where the service runs")

    def described(self) -> str:
        """Return what runs the services, in words."""
        return "no runtime"

    def host(self) -> str:
        """Return this host: the files are here."""
        return "localhost"

    def start_command(self, service: Service) -> str:
        """Return what its operator has to do."""
        return f"restart {service.name}, as it is started where it runs"

    def recreate_command(self, service: Service) -> str:
        """Return what its operator has to do."""
        return self.start_command(service)

    def log_command(self, service: Service) -> str:
        """Return how its last lines are read."""
        path = self._logs.get(service.name)
        return show_end(path, 100) if path else f"read the log of {service.name}, where it runs"

    def _log(self, service: Service) -> Path:
        path = self._logs.get(service.name)
        if path is None:
            fix = f"set {self._log_setting} to the file that its output goes to, or read it where it runs"
            self._refuse(f"There is no log of {service.name} to read", fix=fix)
        if not path.is_file():
            seen = f"The log of {service.name} is not there"
            raise RunbookError(seen, where=str(path), fix=f"correct {self._log_setting}")
        return path

    def _refuse(self, seen: str, *, fix: str) -> NoReturn:
        raise RunbookError(f"{seen}: the runtime of this target is none", where=self._where, fix=fix)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fix = "run as a user who may read it"
        raise RunbookError(f"The log cannot be read: {error.strerror}", where=str(path), fix=fix) from None
