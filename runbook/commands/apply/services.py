"""The two services that read the files: who they are, and waiting for what they say."""

from collections.abc import Callable
from dataclasses import dataclass

from runbook.errors import RunbookError
from runbook.settings import Target
from runbook.systems.runtime import Runtime, Service
from runbook.waiting import Impossible, Pending, wait_until

_HOPELESS_RESTARTS = 3
"""So many restarts by a container's own restart policy, since it was started by hand, and it will not come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Whether the wanted state is served now, and what was seen."""

    is_served: bool
    saw: str


class Services:
    """Grafana and Prometheus of one target."""

    def __init__(self, target: Target, runtime: Runtime, *, timeout_s: float) -> None:
        """Take the target; `timeout_s` bounds each wait."""
        self.grafana = target.grafana.as_service
        self.prometheus = target.prometheus.as_service
        self._target = target
        self._runtime = runtime
        self._timeout_s = timeout_s

    def must_exist(self, service: Service) -> None:
        """Raise RunbookError unless the runtime can be asked for the service and knows it."""
        state = self._runtime.state(service)
        if not state.found:
            near = ", ".join(state.nearest) or "none is similar"
            raise RunbookError(
                f"There is no {service.container} to restart (nearest: {near})",
                where=f"service {service.name} of target {self._target.name}",
                fix=f"{self._runtime.start_command(service)}, or set the container's name in runbook.toml",
            )

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
        if state.status in {"exited", "dead"}:
            return Impossible(f"{service.container} has exited with code {state.exit_code}")
        if state.restart_count >= _HOPELESS_RESTARTS:
            return Impossible(f"{service.container} exits again and again, last with code {state.exit_code}")
        return Pending(error.seen)
