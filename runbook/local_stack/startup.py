"""Bring services up: each as soon as what it needs is ready, side by side where they do not need each other."""

import contextlib
import time
from collections.abc import Collection, Sequence

from runbook.errors import RunbookError, WaitError
from runbook.invocation import inv
from runbook.local_stack.kafka import create_topics
from runbook.local_stack.ports import is_taken
from runbook.local_stack.readiness import missing_for
from runbook.local_stack.service_spec import ServiceSpec
from runbook.observer import Observer
from runbook.systems.processes.launcher import Launcher
from runbook.waiting import Pending, wait_until

LOG_LINES = 15
_LOOK_EVERY_S = 0.03


def bring_up(
    services: Sequence[ServiceSpec], *, ready: Collection[str], launcher: Launcher, observer: Observer
) -> None:
    """Start `services`, whose needs are among them or in `ready`, and return once all of them are ready.

    One that does not come up keeps only those from starting that need it. Raises RunbookError that names every service
    that is not ready, with the last lines of its log; the others are left running.
    """
    _carry_through(_Startup(services, ready=ready, launcher=launcher, observer=observer))


def await_ready(services: Sequence[ServiceSpec], *, launcher: Launcher, observer: Observer) -> None:
    """Return once these are ready too: they have run on while what they need was away. Raises RunbookError."""
    if services:
        startup = _Startup(services, ready=(), launcher=launcher, observer=observer)
        startup.run_already()
        _carry_through(startup)


def missing_of(service: ServiceSpec, launcher: Launcher) -> str:
    """Say what keeps a service from being ready, or nothing: it has ended, was stopped, or does not answer."""
    record = launcher.record(service.name)
    if record is None or launcher.process(record) is None:
        code = launcher.exit_code(record) if record else None
        return "not running" if code is None else f"exited with code {code}"
    return launcher.halted(record) or missing_for(service.ready)


def _carry_through(startup: "_Startup") -> None:
    with contextlib.suppress(WaitError):
        wait_until(
            startup.look,
            what="The local stack",
            deadline_s=startup.patience_s,
            every_s=_LOOK_EVERY_S,
            where="the local stack",
            fix=inv("stack.up"),
        )
    startup.refuse_missing()


class _Startup:
    """The services on their way up: waiting for their needs, then started, then ready, or failed."""

    def __init__(
        self, services: Sequence[ServiceSpec], *, ready: Collection[str], launcher: Launcher, observer: Observer
    ) -> None:
        self.patience_s = max(service.patience_s for service in services)
        self._waiting = list(services)
        self._started: list[ServiceSpec] = []
        self._ready = set(ready)
        self._failures: list[RunbookError] = []
        self._total = len(services)
        self._launcher = launcher
        self._observer = observer
        self._began = time.monotonic()

    def run_already(self) -> None:
        """Take all of them as started."""
        self._waiting, self._started = [], self._waiting

    def look(self) -> Pending | None:
        """Start what can be started, and see who is ready by now; None once nobody is on the way any more."""
        for service in [service for service in self._waiting if self._ready.issuperset(service.needs)]:
            self._start(service)
        for service in tuple(self._started):
            ended = self._end(service)
            if ended:
                self._fail(service, ended)
            elif not missing_of(service, self._launcher):
                self._is_ready(service)
        can_start = any(self._ready.issuperset(service.needs) for service in self._waiting)
        return Pending("not all services are ready") if self._started or can_start else None

    def refuse_missing(self) -> None:
        """Raise RunbookError that names every service which is not ready, and why; with the log where it has one."""
        for service in tuple(self._started):
            self._fail(service, missing_of(service, self._launcher))
        if not self._failures:
            return
        seen = [error.seen for error in self._failures]
        for service in self._waiting:
            lacking = ", ".join(name for name in service.needs if name not in self._ready)
            seen.append(f"{service.name} was not started: it needs {lacking}")
        fixes = "; ".join(dict.fromkeys(error.fix for error in self._failures))
        raise RunbookError(
            "\n".join(seen),
            where=", ".join(error.where for error in self._failures),
            fix=f"{fixes}; then {inv('stack.up')}, which starts what is missing with the same programs (for others "
            f"{inv('stack.down')} first): the other services run on",
        )

    def _fail(self, service: ServiceSpec, saw: str) -> None:
        """Keep what is to be said of a service that did not come up, and the end of its log."""
        self._started.remove(service)
        log = self._launcher.log_file(service.name)
        written = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        lines = "\n".join(f"  {line}" for line in written[-LOG_LINES:])
        self._failures.append(
            RunbookError(
                f"{service.name} did not come up: {saw}\n{lines or '  (its log is empty)'}",
                where=str(log),
                fix="see the lines above",
            )
        )

    def _start(self, service: ServiceSpec) -> None:
        self._waiting.remove(service)
        for port in service.ports:
            if is_taken(port):
                self._failures.append(
                    RunbookError(
                        f"{service.name} cannot be started: something else listens on its port {port}",
                        where=f"127.0.0.1:{port}",
                        fix=f"end what listens there, or {inv('stack.down')} for a stack with other ports",
                    )
                )
                return
        self._launcher.start(service.name, service.launch)
        self._started.append(service)

    def _end(self, service: ServiceSpec) -> str:
        """Say that a service has ended; nothing while it is there."""
        record = self._launcher.record(service.name)
        if record and self._launcher.process(record):
            return ""
        code = self._launcher.exit_code(record) if record else None
        return "it exited" if code is None else f"it exited with code {code}"

    def _is_ready(self, service: ServiceSpec) -> None:
        if service.topics:
            create_topics(service.address, service.topics)
        self._started.remove(service)
        self._ready.add(service.name)
        took = time.monotonic() - self._began
        detail = f"; {service.detail}" if service.detail else ""
        self._observer.says(f"{service.name} is ready after {took:.1f} s ({service.kind}: {service.plays}{detail})")
        self._observer.progresses("services ready", self._total - len(self._waiting) - len(self._started), self._total)
