"""Bring services up: each as soon as what it needs is ready, side by side where they do not need each other."""

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
from runbook.waiting import Impossible, Pending, wait_until

LOG_LINES = 15
_LOOK_EVERY_S = 0.03


def bring_up(
    services: Sequence[ServiceSpec], *, ready: Collection[str], launcher: Launcher, observer: Observer
) -> None:
    """Start `services`, whose needs are among them or in `ready`, and return once all of them are ready.

    Raises RunbookError that names the service that did not come up, with the last lines of its log. What was started is
    left running: ending it is the caller's.
    """
    _carry_through(_Startup(services, ready=ready, launcher=launcher, observer=observer))


def await_ready(services: Sequence[ServiceSpec], *, launcher: Launcher, observer: Observer) -> None:
    """Return once these are ready too: they have run on while what they need was away. Raises RunbookError."""
    if services:
        startup = _Startup(services, ready=(), launcher=launcher, observer=observer)
        startup.run_already()
        _carry_through(startup)


def _carry_through(startup: "_Startup") -> None:
    try:
        wait_until(
            startup.look,
            what="The local stack",
            deadline_s=startup.patience_s,
            every_s=_LOOK_EVERY_S,
            where="the local stack",
            fix=inv("stack.up"),
        )
    except WaitError:
        raise startup.failure() from None


class _Startup:
    """The services on their way up: waiting for their needs, then started, then ready."""

    def __init__(
        self, services: Sequence[ServiceSpec], *, ready: Collection[str], launcher: Launcher, observer: Observer
    ) -> None:
        self.patience_s = max(service.patience_s for service in services)
        self._waiting = list(services)
        self._started: list[ServiceSpec] = []
        self._ready = set(ready)
        self._total = len(services)
        self._launcher = launcher
        self._observer = observer
        self._began = time.monotonic()
        self._last = services[0], "what it needs did not come"

    def run_already(self) -> None:
        """Take all of them as started."""
        self._waiting, self._started = [], self._waiting

    def look(self) -> Pending | Impossible | None:
        """Start what can be started, and see who is ready by now; None once everybody is."""
        for service in [service for service in self._waiting if self._ready.issuperset(service.needs)]:
            self._start(service)
        for service in tuple(self._started):
            code = self._exit(service)
            if code:
                self._last = service, code
                return Impossible(code)
            missing = missing_for(service.ready)
            if missing:
                self._last = service, missing
            else:
                self._is_ready(service)
        return Pending("not all services are ready") if self._waiting or self._started else None

    def failure(self) -> RunbookError:
        """Say which service did not come up, and quote its log."""
        service, saw = self._last
        log = self._launcher.log_file(service.name)
        lines = "\n".join(
            f"  {line}" for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        )
        return RunbookError(
            f"{service.name} did not come up: {saw}\n{lines or '  (its log is empty)'}",
            where=str(log),
            fix=f"see the lines above; then {inv('stack.up')}",
        )

    def _start(self, service: ServiceSpec) -> None:
        for port in service.ports:
            if is_taken(port):
                raise RunbookError(
                    f"{service.name} cannot be started: something else listens on its port {port}",
                    where=f"127.0.0.1:{port}",
                    fix=f"{inv('stack.down')}, then {inv('stack.up')}, which chooses other ports",
                )
        self._launcher.start(service.name, service.launch)
        self._waiting.remove(service)
        self._started.append(service)

    def _exit(self, service: ServiceSpec) -> str:
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
