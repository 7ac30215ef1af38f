"""What Grafana serves and Prometheus has loaded, against what is wanted or against a file as it was.

Ready, loaded, served are three different things: `/-/ready` stays 200 after a failed reload, and Grafana's
`/api/health` speaks of its database only. So the proof is what `/api/dashboards/uid/UID` and `/api/v1/rules` answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from runbook.files.compare import differing_fields
from runbook.files.dashboard_file import panel_id
from runbook.files.desired import WantedPanels
from runbook.files.file_change import FileChange
from runbook.files.needed_fields import unmet
from runbook.files.served_difference import GroupedRule, loaded_rules_difference, served_panels_difference
from runbook.files.wanted_rule import Rule, WantedRule, differing_rule_fields
from runbook.settings import Target
from runbook.systems.grafana.client import Grafana
from runbook.systems.http import answer_s
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Rule as LoadedRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Whether the wanted state is served now, and what was seen."""

    is_served: bool
    saw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One look at what a service serves: `step` names it as a step, `what` says what is waited for, `url` where."""

    step: str
    what: str
    url: str
    look: Callable[[], Served]


def panels_proof(target: Target, panels: WantedPanels, timeout_s: float) -> Proof:
    """Grafana serves the wanted panels, field by field, but for those that the file keeps otherwise."""
    return Proof(
        step="served by Grafana",
        what="Grafana serving panels 20 and 21",
        url=_dashboard_url(target),
        look=lambda: _panels_served(target, panels, timeout_s),
    )


def rules_proof(target: Target, rules: tuple[WantedRule, ...], timeout_s: float, *, evaluated: bool = True) -> Proof:
    """Prometheus has loaded the wanted rules, in whatever group, and has `evaluated` them with health ok.

    Right after a start the health is "unknown".
    """
    return Proof(
        step="loaded by Prometheus",
        what="Prometheus loading the alert rule",
        url=_rules_url(target),
        look=lambda: _rules_loaded(target, rules, timeout_s, evaluated=evaluated),
    )


def file_proof(target: Target, change: FileChange, timeout_s: float) -> Proof:
    """The service of a file serves it as it is `after` a change, wherever it was otherwise before."""
    if change.kind == "rules":
        return Proof(
            step=f"{target.prometheus.service} serves the old state",
            what="Prometheus loading the old rules",
            url=_rules_url(target),
            look=lambda: _rules_file_loaded(target, change, timeout_s),
        )
    return Proof(
        step=f"{target.grafana.service} serves the old state",
        what="Grafana serving the old panels",
        url=_dashboard_url(target),
        look=lambda: _dashboard_file_served(target, change, timeout_s),
    )


def _panels_served(target: Target, wanted: WantedPanels, timeout_s: float) -> Served:
    uid = target.grafana.dashboard_uid
    dashboard = Grafana(target.grafana, answer_s(timeout_s)).dashboard(uid)
    if dashboard is None:
        return Served(is_served=False, saw=f"Grafana has no dashboard {uid}")
    datasource = wanted.datasource.by_variables(dashboard.templating)
    served = {panel_id(panel): panel for panel in dashboard.panels}
    for one in wanted.panels:
        panel = served.get(one["id"])
        if panel is None:
            return Served(is_served=False, saw=f"version {dashboard.version} is served without panel {one['id']}")
        kept = wanted.kept.get(one["id"], frozenset())
        differing = [field for field in differing_fields(panel, one, datasource) if field not in kept]
        if wanted.demand == "needed":
            differing += [repair.name for repair in unmet(panel, one, datasource) if repair.name not in differing]
        if differing:
            return Served(is_served=False, saw=f"panel {one['id']} is served with other {', '.join(differing)}")
    ids = " and ".join(str(panel["id"]) for panel in wanted.panels)
    return Served(is_served=True, saw=f"version {dashboard.version} with panels {ids} as intended")


def _rules_loaded(target: Target, wanted: tuple[WantedRule, ...], timeout_s: float, *, evaluated: bool) -> Served:
    loaded = [rule for group in Prometheus(target.prometheus, answer_s(timeout_s)).rules() for rule in group.rules]
    for one in wanted:
        named = [rule for rule in loaded if rule.name == one.rule.alert]
        if not named:
            return Served(is_served=False, saw=f"{one.rule.alert} is not loaded, {len(loaded)} other rules are")
        same = [rule for rule in named if not differing_rule_fields(_as_written(rule), one.rule)]
        if not same:
            differing = ", ".join(differing_rule_fields(_as_written(named[0]), one.rule))
            return Served(is_served=False, saw=f"{one.rule.alert} is loaded with other {differing}")
        if evaluated and same[0].health != "ok":
            saw = f"{one.rule.alert} is loaded with health {same[0].health!r} {same[0].last_error}"
            return Served(is_served=False, saw=saw.rstrip())
    health = " with health ok" if evaluated else ""
    return Served(is_served=True, saw=f"{', '.join(one.rule.alert for one in wanted)} loaded{health}")


def _dashboard_file_served(target: Target, change: FileChange, timeout_s: float) -> Served:
    uid = target.grafana.dashboard_uid
    dashboard = Grafana(target.grafana, answer_s(timeout_s)).dashboard(uid)
    if dashboard is None:
        return Served(is_served=False, saw=f"Grafana has no dashboard {uid}")
    wrong = served_panels_difference(dashboard.panels, change)
    saw = wrong or f"all panels of the file are served, what was changed as before ({len(dashboard.panels)} panels)"
    return Served(is_served=not wrong, saw=f"version {dashboard.version}: {saw}")


def _rules_file_loaded(target: Target, change: FileChange, timeout_s: float) -> Served:
    groups = Prometheus(target.prometheus, answer_s(timeout_s)).rules()
    mine = [group for group in groups if group.file == target.prometheus.rules_inside] or groups
    loaded = [GroupedRule(group=group.name, rule=_as_written(rule)) for group in mine for rule in group.rules]
    wrong = loaded_rules_difference(loaded, change)
    saw = wrong or f"all rules of the file are loaded, what was changed as before ({len(loaded)} rules)"
    return Served(is_served=not wrong, saw=saw)


def _as_written(rule: LoadedRule) -> Rule:
    """A loaded rule as it would be written."""
    return Rule(
        alert=rule.name, expr=rule.query, for_s=rule.duration_s, labels=rule.labels, annotations=rule.annotations
    )


def _dashboard_url(target: Target) -> str:
    return f"{target.grafana.url}/api/dashboards/uid/{target.grafana.dashboard_uid}"


def _rules_url(target: Target) -> str:
    return f"{target.prometheus.url}/api/v1/rules"
