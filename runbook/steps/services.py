"""The two services that read the files: restart them, and wait for what they say."""

from collections.abc import Callable
from dataclasses import dataclass

from runbook.clients.grafana import Grafana
from runbook.clients.prometheus import Prometheus
from runbook.clients.runtime import Runtime, Service
from runbook.errors import RunbookError
from runbook.settings import Target
from runbook.steps.frame import Done
from runbook.waiting import Impossible, Pending, wait_until

_STOP_S = 30.0
"""Seconds from SIGTERM to SIGKILL at a restart: Prometheus writes its head block in that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Whether the wanted state is served now, and what was seen."""

    is_served: bool
    saw: str


class Services:
    """Grafana and Prometheus of one target."""

    def __init__(self, target: Target, runtime: Runtime, *, timeout_s: float) -> None:
        """Take the target; `timeout_s` bounds each wait."""
        self.grafana = Service(name=target.grafana.service, container=target.grafana.container)
        self.prometheus = Service(name=target.prometheus.service, container=target.prometheus.container)
        self._target = target
        self._runtime = runtime
        self._timeout_s = timeout_s

    def restarted(self, service: Service) -> Done[None]:
        """Restart a service through the runtime."""
        self._runtime.restart(service, timeout_s=_STOP_S)
        return Done(value=None, outcome="changed", reason=f"{service.container} has been restarted")

    def answering(self, service: Service) -> Done[None]:
        """Wait until a service answers again; that it serves anything in particular is not said."""
        settings = self._target.grafana if service == self.grafana else self._target.prometheus
        look = self._grafana_answers if service == self.grafana else self._prometheus_answers
        saw = self.waited(service, look, what=f"{service.container} answering", where=settings.url)
        return Done(value=None, outcome="ok", reason=saw)

    def _grafana_answers(self) -> Served:
        health = Grafana(self._target.grafana).health()
        return Served(is_served=health.ok, saw=f"GET /api/health: {health.status}")

    def _prometheus_answers(self) -> Served:
        readiness = Prometheus(self._target.prometheus).ready()
        return Served(is_served=readiness.ready, saw=f"GET /-/ready: {readiness.saw}")

    def waited(self, service: Service, look: Callable[[], Served], *, what: str, where: str) -> str:
        """Wait until `look` sees the wanted state of a service; return what it saw.

        Raises WaitError when the time is over, or when the service has exited meanwhile.
        """

        def probe() -> str | Pending | Impossible:
            try:
                served = look()
            except RunbookError as error:
                return self._silent(service, error)
            return served.saw if served.is_served else Pending(served.saw)

        fix = f"{self._runtime.log_command(service)}, then inv troubleshoot"
        return wait_until(probe, what=what, deadline_s=self._timeout_s, where=where, fix=fix, every_s=0.2)

    def _silent(self, service: Service, error: RunbookError) -> Pending | Impossible:
        """A service that does not answer may be starting; one that has exited will not come."""
        state = self._runtime.state(service)
        if state.status == "exited":
            return Impossible(f"{service.container} has exited with code {state.exit_code}")
        return Pending(error.seen)
