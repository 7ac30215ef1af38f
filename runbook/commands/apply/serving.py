"""Ready, loaded, served: three different things. What Grafana serves and Prometheus has loaded, against the wanted.

`/-/ready` stays 200 after a failed reload and Grafana's `/api/health` speaks of its database only, so the proof is
what `/api/dashboards/uid/UID` and `/api/v1/rules` answer.
"""

from runbook.commands.apply.services import Served, Services
from runbook.commands.task_run import StepOutput
from runbook.files.compare import differing_fields
from runbook.files.desired import WantedPanels
from runbook.files.wanted_rule import Rule, WantedRule, differing_rule_fields
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.grafana.client import Grafana
from runbook.systems.http import shown_url
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Rule as LoadedRule


class Serving:
    """The wanted panels and rules against what is served and loaded."""

    def __init__(self, target: Target, services: Services, panels: WantedPanels, rules: tuple[WantedRule, ...]) -> None:
        """Take the services of a target and what is wanted of them."""
        self._target = target
        self._services = services
        self._panels = panels
        self._rules = rules
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
        return self._loaded_as_wanted(with_health=False)

    def _evaluated_now(self) -> Served:
        """Loaded, and evaluated with health ok: right after a start the health is "unknown"."""
        return self._loaded_as_wanted(with_health=True)

    def _loaded_as_wanted(self, *, with_health: bool) -> Served:
        loaded = [rule for group in self._queries.rules() for rule in group.rules]
        for wanted in self._rules:
            named = [rule for rule in loaded if rule.name == wanted.rule.alert]
            if not named:
                return Served(is_served=False, saw=f"{wanted.rule.alert} is not loaded, {len(loaded)} other rules are")
            same = [rule for rule in named if not differing_rule_fields(as_written(rule), wanted.rule)]
            if not same:
                differing = ", ".join(differing_rule_fields(as_written(named[0]), wanted.rule))
                return Served(is_served=False, saw=f"{wanted.rule.alert} is loaded with other {differing}")
            if with_health and same[0].health != "ok":
                saw = f"{wanted.rule.alert} is loaded with health {same[0].health!r} {same[0].last_error}"
                return Served(is_served=False, saw=saw.rstrip())
        health = " with health ok" if with_health else ""
        return Served(is_served=True, saw=f"{', '.join(wanted.rule.alert for wanted in self._rules)} loaded{health}")

    def panels_served(self) -> StepOutput[None]:
        """Wait until Grafana serves the wanted panels."""
        url = f"{shown_url(self._target.grafana.url)}/api/dashboards/uid/{self._target.grafana.dashboard_uid}"
        saw = self._services.waited(
            self._services.grafana, self.panels_now, what="Grafana serving panels 20 and 21", where=url
        )
        return StepOutput(value=None, outcome="ok", reason=saw, evidence=(Evidence(source=f"GET {url}", saw=saw),))

    def rules_loaded(self) -> StepOutput[None]:
        """Wait until Prometheus has loaded and evaluated the wanted rules."""
        url = f"{shown_url(self._target.prometheus.url)}/api/v1/rules"
        saw = self._services.waited(
            self._services.prometheus, self._evaluated_now, what="Prometheus loading the alert rule", where=url
        )
        return StepOutput(value=None, outcome="ok", reason=saw, evidence=(Evidence(source=f"GET {url}", saw=saw),))


def as_written(rule: LoadedRule) -> Rule:
    """Return a loaded rule as it would be written."""
    return Rule(
        alert=rule.name, expr=rule.query, for_s=rule.duration_s, labels=rule.labels, annotations=rule.annotations
    )
