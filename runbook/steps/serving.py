"""Ready, loaded, served: three different things. What Grafana serves and Prometheus has loaded, against the wanted.

`/-/ready` stays 200 after a failed reload and Grafana's `/api/health` speaks of its database only, so the proof is
what `/api/dashboards/uid/UID` and `/api/v1/rules` answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from runbook.clients.grafana import Grafana
from runbook.clients.prometheus import Prometheus
from runbook.clients.prometheus import Rule as LoadedRule
from runbook.clients.runtime import Runtime, Service
from runbook.documents.compare import differing_fields
from runbook.documents.desired import WantedPanels
from runbook.documents.wanted_rule import Rule, WantedRule, differing_rule_fields
from runbook.errors import RunbookError
from runbook.model import Evidence
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


class Serving:
    """The two services that read the files, on one target."""

    def __init__(
        self,
        target: Target,
        runtime: Runtime,
        panels: WantedPanels,
        rules: tuple[WantedRule, ...],
        *,
        timeout_s: float,
    ) -> None:
        """Take what is wanted; `timeout_s` bounds each wait."""
        self.grafana = Service(name=target.grafana.service, container=target.grafana.container)
        self.prometheus = Service(name=target.prometheus.service, container=target.prometheus.container)
        self._target = target
        self._runtime = runtime
        self._panels = panels
        self._rules = rules
        self._timeout_s = timeout_s
        self._dashboards = Grafana(target.grafana)
        self._queries = Prometheus(target.prometheus)

    def panels_now(self) -> Served:
        """Compare the panels that Grafana serves with the wanted ones, field by field."""
        uid = self._target.grafana.dashboard_uid
        dashboard = self._dashboards.dashboard(uid)
        if dashboard is None:
            return Served(is_served=False, saw=f"Grafana knows no dashboard {uid}")
        served = {panel.get("id"): panel for panel in dashboard.panels}
        for wanted in self._panels.panels:
            panel = served.get(wanted["id"])
            if panel is None:
                return Served(
                    is_served=False, saw=f"version {dashboard.version} is served without panel {wanted['id']}"
                )
            differing = differing_fields(panel, wanted, self._panels.datasource)
            if differing:
                saw = f"panel {wanted['id']} is served with other {', '.join(differing)}"
                return Served(is_served=False, saw=saw)
        ids = " and ".join(str(panel["id"]) for panel in self._panels.panels)
        return Served(is_served=True, saw=f"version {dashboard.version} with panels {ids} as intended")

    def rules_now(self) -> Served:
        """Compare the rules that Prometheus has loaded with the wanted ones, wherever they are grouped."""
        loaded = self._loaded()
        for wanted in self._rules:
            rule = loaded.get(wanted.rule.alert)
            if rule is None:
                return Served(is_served=False, saw=f"{wanted.rule.alert} is not loaded, {len(loaded)} other rules are")
            differing = differing_rule_fields(_as_written(rule), wanted.rule)
            if differing:
                return Served(is_served=False, saw=f"{rule.name} is loaded with other {', '.join(differing)}")
        return Served(is_served=True, saw=f"{', '.join(wanted.rule.alert for wanted in self._rules)} loaded")

    def _evaluated_now(self) -> Served:
        """Loaded, and evaluated with health ok: right after a start the health is "unknown"."""
        served = self.rules_now()
        loaded = self._loaded()
        for rule in (loaded[wanted.rule.alert] for wanted in self._rules if served.is_served):
            if rule.health != "ok":
                saw = f"{rule.name} is loaded with health {rule.health!r} {rule.last_error}".strip()
                return Served(is_served=False, saw=saw)
        return Served(
            is_served=served.is_served, saw=f"{served.saw} with health ok" if served.is_served else served.saw
        )

    def _loaded(self) -> dict[str, LoadedRule]:
        return {rule.name: rule for group in self._queries.rules() for rule in group.rules}

    def restarted(self, service: Service) -> Done[None]:
        """Restart a service through the runtime."""
        self._runtime.restart(service, timeout_s=_STOP_S)
        return Done(value=None, outcome="changed", reason=f"{service.container} has been restarted")

    def panels_served(self) -> Done[None]:
        """Wait until Grafana serves the wanted panels."""
        url = f"{self._target.grafana.url}/api/dashboards/uid/{self._target.grafana.dashboard_uid}"
        saw = self._waited(self.grafana, self.panels_now, what="Grafana serving panels 20 and 21", where=url)
        return Done(value=None, outcome="ok", reason=saw, evidence=(Evidence(source=f"GET {url}", saw=saw),))

    def rules_loaded(self) -> Done[None]:
        """Wait until Prometheus has loaded and evaluated the wanted rules."""
        url = f"{self._target.prometheus.url}/api/v1/rules"
        saw = self._waited(self.prometheus, self._evaluated_now, what="Prometheus loading the alert rule", where=url)
        return Done(value=None, outcome="ok", reason=saw, evidence=(Evidence(source=f"GET {url}", saw=saw),))

    def answers(self, service: Service) -> None:
        """Wait until a service answers again after a restart."""
        if service == self.grafana:
            self._waited(service, self._grafana_answers, what="Grafana answering", where=self._target.grafana.url)
        else:
            self._waited(service, self._prometheus_answers, what="Prometheus ready", where=self._target.prometheus.url)

    def _grafana_answers(self) -> Served:
        health = self._dashboards.health()
        return Served(is_served=health.ok, saw=f"GET /api/health: {health.status}")

    def _prometheus_answers(self) -> Served:
        readiness = self._queries.ready()
        return Served(is_served=readiness.ready, saw=f"GET /-/ready: {readiness.saw}")

    def _waited(self, service: Service, look: Callable[[], Served], *, what: str, where: str) -> str:
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


def _as_written(rule: LoadedRule) -> Rule:
    return Rule(
        alert=rule.name, expr=rule.query, for_s=rule.duration_s, labels=rule.labels, annotations=rule.annotations
    )
