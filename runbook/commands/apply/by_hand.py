"""The services of a target without a runtime: told by their own API where they let us, else restarted by who runs them.

Whether a service was restarted cannot be asked; what it serves can. So the request is printed, and what is served is
waited for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from runbook.commands.apply.proofs import Proof
from runbook.commands.apply.services import Services
from runbook.commands.task_run import StepOutput
from runbook.errors import UnreachableError, WaitError
from runbook.files.file_change import Kind
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.grafana.client import Grafana
from runbook.systems.runtime import Runtime, Service

_VERBS: Final[dict[Kind, str]] = {"dashboard": "tell", "rules": "reload"}
_BY_ITSELF_S: Final = 15.0
"""Grafana looks at its dashboards every 10 s (updateIntervalSeconds): so long no restart is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesByHand(Services):
    """Grafana and Prometheus of a target without a runtime; `says` tells the operator what to restart."""

    says: Callable[[str], None]

    def found(self, kind: Kind) -> Service:
        """Return the service: nothing can be asked about it."""
        return self.meant(kind)

    def verb(self, kind: Kind) -> str:
        """Return what is done to the service, for the name of the step."""
        return _VERBS[kind]

    def plan(self, kind: Kind, service: Service) -> str:
        """Return what will be done to the service."""
        return f"{_VERBS[kind]} {service.name} (or else ask you to restart it)"

    def reread(self, kind: Kind, service: Service, path: Path) -> StepOutput[None]:
        """Have a service read the file `path`, or ask for its restart. Raises RunbookError where that would end it."""
        if kind == "dashboard":
            return self._told_grafana(service)
        answered = self._reload()
        if answered == str(HTTPStatus.OK.value):
            return _told(f"{service.name} has reloaded its files", self._reload_url, answered)
        self._must_be_acceptable(path)
        return self._asked(service, f"a reload is not available ({answered or 'no answer'})", self._reload_url)

    def proven(self, service: Service, proof: Proof) -> StepOutput[None]:
        """Wait until a service serves what a proof wants; ask for Grafana's restart where it has not read by itself."""
        if service.name != self.target.grafana.service:
            return self._within(self.timeout_s).proven(service, proof)
        first_s = min(_BY_ITSELF_S, self.timeout_s / 2)
        left_s = self.timeout_s - first_s
        try:
            return self._within(first_s).proven(service, proof)
        except WaitError as error:
            self._ask(service, error.seen, left_s)
        return self._within(left_s).proven(service, proof)

    def _within(self, timeout_s: float) -> Services:
        """Return the same with a time-out, and without a word to the operator."""
        return Services(target=self.target, runtime=self.runtime, timeout_s=timeout_s)

    def _told_grafana(self, service: Service) -> StepOutput[None]:
        """Ask it to read its dashboards; that needs an administrator. It reads its folder by itself, too."""
        url = f"{self.target.grafana.url}/api/admin/provisioning/dashboards/reload"
        try:
            status = Grafana(self.target.grafana).reload_dashboards()
        except UnreachableError as error:
            return _not_told(f"{error.seen}; it reads its folder at its start", url)
        if status == HTTPStatus.OK:
            return _told(f"{service.name} has read its provisioned dashboards", url, str(status))
        return _not_told(
            f"{service.name} does not allow this login a reload ({status}); it reads its folder itself", url
        )

    def _asked(self, service: Service, why: str, url: str) -> StepOutput[None]:
        self._ask(service, why, self.timeout_s)
        return _not_told(f"you were asked to restart {service.name}: {why}", url)

    def _ask(self, service: Service, why: str, within_s: float) -> None:
        waited = f"What it serves is waited for, {within_s:g} s (--timeout)"
        self.says(f"Restart {service.name} now, where it runs: {why}. {waited}")

    @property
    def _reload_url(self) -> str:
        return f"{self.target.prometheus.url}/-/reload"


def services_of(target: Target, runtime: Runtime, *, timeout_s: float, says: Callable[[str], None]) -> Services:
    """Return the services of a target as they are made to read their files there."""
    if target.runtime.is_managed:
        return Services(target=target, runtime=runtime, timeout_s=timeout_s)
    return ServicesByHand(target=target, runtime=runtime, timeout_s=timeout_s, says=says)


def _not_told(why: str, url: str) -> StepOutput[None]:
    evidence = (Evidence(source=f"POST {url}", saw=why),)
    return StepOutput(value=None, outcome="not_checked", reason=why, evidence=evidence)


def _told(reason: str, url: str, status: str) -> StepOutput[None]:
    return StepOutput(
        value=None, outcome="changed", reason=reason, evidence=(Evidence(source=f"POST {url}", saw=status),)
    )
