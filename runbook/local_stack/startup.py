"""Bring parts up: each as soon as what it needs is ready, side by side where they do not need each other."""

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


def bring_up(parts: Sequence[ServiceSpec], *, ready: Collection[str], launcher: Launcher, observer: Observer) -> None:
    """Start `parts`, whose needs are among them or in `ready`, and return once all of them are ready.

    Raises RunbookError that names the part that did not come up, with the last lines of its log. What was started is
    left running: ending it is the caller's.
    """
    _carry_through(_Coming(parts, ready=ready, launcher=launcher, observer=observer))


def await_ready(parts: Sequence[ServiceSpec], *, launcher: Launcher, observer: Observer) -> None:
    """Return once these are ready too: they have run on while what they need was away. Raises RunbookError."""
    if parts:
        coming = _Coming(parts, ready=(), launcher=launcher, observer=observer)
        coming.run_already()
        _carry_through(coming)


def _carry_through(coming: "_Coming") -> None:
    try:
        wait_until(
            coming.look,
            what="The local stack",
            deadline_s=coming.patience_s,
            every_s=_LOOK_EVERY_S,
            where="the local stack",
            fix=inv("stack.up"),
        )
    except WaitError:
        raise coming.failure() from None


class _Coming:
    """The parts on their way up: waiting for their needs, then started, then ready."""

    def __init__(
        self, parts: Sequence[ServiceSpec], *, ready: Collection[str], launcher: Launcher, observer: Observer
    ) -> None:
        self.patience_s = max(part.patience_s for part in parts)
        self._waiting = list(parts)
        self._started: list[ServiceSpec] = []
        self._ready = set(ready)
        self._total = len(parts)
        self._launcher = launcher
        self._observer = observer
        self._began = time.monotonic()
        self._last = parts[0], "what it needs did not come"

    def run_already(self) -> None:
        """Take all of them as started."""
        self._waiting, self._started = [], self._waiting

    def look(self) -> Pending | Impossible | None:
        """Start what can be started, and see who is ready by now; None once everybody is."""
        for part in [part for part in self._waiting if self._ready.issuperset(part.needs)]:
            self._start(part)
        for part in tuple(self._started):
            code = self._exit(part)
            if code:
                self._last = part, code
                return Impossible(code)
            missing = missing_for(part.ready)
            if missing:
                self._last = part, missing
            else:
                self._is_ready(part)
        return Pending("not all parts are ready") if self._waiting or self._started else None

    def failure(self) -> RunbookError:
        """Say which part did not come up, and quote its log."""
        part, saw = self._last
        log = self._launcher.log_file(part.name)
        lines = "\n".join(
            f"  {line}" for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        )
        return RunbookError(
            f"{part.name} did not come up: {saw}\n{lines or '  (its log is empty)'}",
            where=str(log),
            fix=f"see the lines above; then {inv('stack.up')}",
        )

    def _start(self, part: ServiceSpec) -> None:
        for port in part.ports:
            if is_taken(port):
                raise RunbookError(
                    f"{part.name} cannot be started: something else listens on its port {port}",
                    where=f"127.0.0.1:{port}",
                    fix=f"{inv('stack.down')}, then {inv('stack.up')}, which chooses other ports",
                )
        self._launcher.start(part.name, part.launch)
        self._waiting.remove(part)
        self._started.append(part)

    def _exit(self, part: ServiceSpec) -> str:
        record = self._launcher.record(part.name)
        if record and self._launcher.process(record):
            return ""
        code = self._launcher.exit_code(record) if record else None
        return "it exited" if code is None else f"it exited with code {code}"

    def _is_ready(self, part: ServiceSpec) -> None:
        if part.topics:
            create_topics(part.address, part.topics)
        self._started.remove(part)
        self._ready.add(part.name)
        took = time.monotonic() - self._began
        detail = f"; {part.detail}" if part.detail else ""
        self._observer.says(f"{part.name} is ready after {took:.1f} s ({part.kind}: {part.plays}{detail})")
        self._observer.progresses("parts ready", self._total - len(self._waiting) - len(self._started), self._total)
