"""The services of the local stack as processes: the protocol of `runtime.py` over the launcher's records and logs."""

from collections.abc import Iterator
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

import psutil

from runbook.errors import RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.platforms import utc
from runbook.shell import end_process, resume_process, show_end
from runbook.systems.log_file import follow_log, read_log
from runbook.systems.processes.launcher import Launcher, ProcessRecord
from runbook.systems.runtime import LogLine, Mount, PublishedPort, Service, ServiceState

_UP = "stack.up"


class ProcessRuntime:
    """Finds, restarts and reads the processes that `stack.up` started in one folder."""

    def __init__(self, stack_dir: Path) -> None:
        """Take the stack's folder (`.stack`); nothing is read before the first question."""
        self._launcher = Launcher(stack_dir)

    def at_one_look(self) -> "ProcessRuntime":
        """Return the same: a look at a process costs nothing."""
        return self

    def state(self, service: Service) -> ServiceState:
        """Return its state: "running", "paused" (SIGSTOP), or "exited" with the code that its shell noted."""
        names = self._names()
        record = self._launcher.record(service.name) if service.name in names else None
        if record is None:
            return ServiceState(name=service.name, found=False, nearest=tuple(get_close_matches(service.name, names)))
        return ServiceState(
            name=service.name,
            found=True,
            status=self._status(record),
            exit_code=self._launcher.exit_code(record),
            started_at=utc(record.started_at) if record.started_at else None,
        )

    def restart(self, service: Service, *, timeout_s: float) -> None:
        """End it and start the same command at the same port. Raises RunbookError if it was never started.

        The mock broker alone comes back at another port: `stack.up` then restarts its clients.
        """
        record = self._found(service)
        self._launcher.stop([service.name], timeout_s=timeout_s)
        self._launcher.start(service.name, record.launch)

    def check_restart(self, service: Service) -> None:
        """Refuse nothing: the processes are our own."""

    def log(self, service: Service, *, since: datetime | None = None, tail: int | None = None) -> tuple[LogLine, ...]:
        """Return its lines, each with the time that it carries itself, if any; see `read_log`."""
        self._names()
        return read_log(self._launcher.log_file(service.name), since=since, tail=tail)

    def log_of_start(self, service: Service, *, tail: int) -> tuple[LogLine, ...]:
        """Return the last `tail` lines that it has written since it was started the last time."""
        record = self._found(service)
        return read_log(self._launcher.log_file(service.name), tail=tail, begin=record.log_begins)

    def follow(self, service: Service, *, since: datetime | None = None) -> Iterator[LogLine]:
        """Yield its lines as they come, over restarts too, until the caller stops or the stack is gone."""
        self._names()
        yield from follow_log(self._launcher.log_file(service.name), since=since)

    def file_inside(self, service: Service, path: str) -> bytes | None:  # noqa: ARG002 - every process sees the same files
        """Return the file; a process sees what its host sees."""
        try:
            return Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def mounts(self, service: Service) -> tuple[Mount, ...]:  # noqa: ARG002 - a process has none
        """Return nothing: a process has no mounts of its own."""
        return ()

    def networks(self, service: Service) -> frozenset[str]:  # noqa: ARG002 - all are on the host's
        """Return the host's network."""
        return frozenset({"host"})

    def published(self, service: Service) -> tuple[PublishedPort, ...]:
        """Return the TCP ports that it or a child of it listens at; one that has ended listens at none."""
        process = self._launcher.process(self._found(service))
        try:
            family = [process, *process.children(recursive=True)] if process else []
            sockets = [one for member in family for one in member.net_connections("tcp")]
        except psutil.NoSuchProcess:  # it has ended meanwhile
            return ()
        heard = {(one.laddr.ip, one.laddr.port) for one in sockets if one.status == psutil.CONN_LISTEN}
        return tuple(
            PublishedPort(port=port, protocol="tcp", address=address, host_port=port) for address, port in sorted(heard)
        )

    def described(self) -> str:
        """Return whose processes they are."""
        return "processes of the local stack"

    def host(self) -> str:
        """Return this host."""
        return "localhost"

    def start_command(self, service: Service) -> str:
        """Return the command that starts what is down and resumes what is suspended; what runs is ended before."""
        record = self._launcher.record(service.name)
        status = self._status(record) if record else "exited"
        if record is None or status == "exited":
            return inv(_UP)
        if status == "paused" and resume_process(record.pid):
            return resume_process(record.pid)
        return f"{end_process(record.pid)}, then {inv(_UP)}"

    def recreate_command(self, service: Service) -> str:
        """Return the command that starts it again: it is always started with the settings of the stack."""
        return self.start_command(service)

    def log_command(self, service: Service) -> str:
        """Return the command that shows its last lines."""
        return show_end(self._launcher.log_file(service.name), 50)

    def _names(self) -> tuple[str, ...]:
        names = self._launcher.names()
        if not names:
            raise UnreachableError(
                "The local stack is not up", where=str(self._launcher.root), fix=inv(_UP), reason="refused"
            )
        return names

    def _found(self, service: Service) -> ProcessRecord:
        names = self._names()
        record = self._launcher.record(service.name)
        if record is None:
            raise RunbookError(
                f"There is no process {service.name!r}; there are {', '.join(names)}",
                where=str(self._launcher.root),
                fix=inv(_UP),
            )
        return record

    def _status(self, record: ProcessRecord) -> str:
        process = self._launcher.process(record)
        try:
            if process is None:
                return "exited"
            return "paused" if process.status() == psutil.STATUS_STOPPED else "running"
        except psutil.NoSuchProcess:
            return "exited"
