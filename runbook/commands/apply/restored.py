"""Proof that the services serve a file as it is now, and not as it was written before: after an undo or a rollback."""

from collections.abc import Callable
from dataclasses import dataclass

from runbook.commands.apply.services import Served, Services
from runbook.commands.apply.serving import as_written
from runbook.commands.task_run import StepOutput
from runbook.files.file_change import Plan
from runbook.files.served_difference import GroupedRule, loaded_rules_difference, served_panels_difference
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.grafana.client import Grafana
from runbook.systems.http import shown_url
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What is served of the two files, against `after` of a plan wherever its `before` differs from that."""

    target: Target
    services: Services

    def proof(self, service: Service, plan: Plan) -> Callable[[], StepOutput[None]]:
        """Return the work that waits until `service` serves `plan.after`. It raises WaitError, DocumentError."""
        return lambda: self._proven(service, plan)

    def _proven(self, service: Service, plan: Plan) -> StepOutput[None]:
        if service == self.services.grafana:
            settings, look = self.target.grafana, self._panels_now
            path, what = f"/api/dashboards/uid/{settings.dashboard_uid}", "Grafana serving the old panels"
            url = f"{shown_url(settings.url)}{path}"
        else:
            look, what = self._rules_now, "Prometheus loading the old rules"
            url = f"{shown_url(self.target.prometheus.url)}/api/v1/rules"
        saw = self.services.waited(service, lambda: look(plan), what=what, where=url)
        return StepOutput(value=None, outcome="ok", reason=saw, evidence=(Evidence(source=f"GET {url}", saw=saw),))

    def _panels_now(self, plan: Plan) -> Served:
        uid = self.target.grafana.dashboard_uid
        dashboard = Grafana(self.target.grafana).dashboard(uid)
        if dashboard is None:
            return Served(is_served=False, saw=f"Grafana knows no dashboard {uid}")
        wrong = served_panels_difference(dashboard.panels, wanted=plan.after, other=plan.before, source=plan.source)
        saw = wrong or f"every panel of the file, and what was touched as before ({len(dashboard.panels)} panels)"
        return Served(is_served=not wrong, saw=f"version {dashboard.version}: {saw}")

    def _rules_now(self, plan: Plan) -> Served:
        groups = Prometheus(self.target.prometheus).rules()
        inside = self.target.prometheus.rules_inside
        mine = [group for group in groups if group.file == inside] or groups
        loaded = [GroupedRule(group=group.name, rule=as_written(rule)) for group in mine for rule in group.rules]
        wrong = loaded_rules_difference(loaded, wanted=plan.after, other=plan.before, source=plan.source)
        return Served(
            is_served=not wrong,
            saw=wrong or f"every rule of the file, and what was touched as before ({len(loaded)} rules)",
        )
