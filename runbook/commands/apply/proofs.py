"""What Grafana serves and Prometheus has loaded, against what is wanted or against a file as it was.

Ready, loaded, served are three different things: `/-/ready` stays 200 after a failed reload, and Grafana's
`/api/health` speaks of its database only. So the proof is what `/api/dashboards/uid/UID` and `/api/v1/rules` answer.
A rule that has just been loaded is not evaluated yet (loaded_rules): what the query API says of its expression is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runbook.commands.apply.loaded_rules import InGroup, answer_now, as_wanted, as_written, of_file, told
from runbook.files.compare import differing_fields
from runbook.files.dashboard_file import panel_id
from runbook.files.desired import WantedPanels
from runbook.files.file_change import FileChange
from runbook.files.needed_fields import unmet
from runbook.files.rules_file import GROUP, groups_of
from runbook.files.served_difference import (
    GroupedRule,
    loaded_rules_difference,
    served_panels_difference,
    touched_rules,
)
from runbook.files.wanted_rule import WantedRule
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.grafana.client import Grafana
from runbook.systems.http import answer_s
from runbook.systems.prometheus.client import Prometheus


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Whether the wanted state is served now, and what was seen; `also` is seen elsewhere than at the proof's `url`."""

    is_served: bool
    saw: str
    also: tuple[Evidence, ...] = ()


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


def rules_proof(target: Target, rules: tuple[WantedRule, ...], change: FileChange, timeout_s: float) -> Proof:
    """Prometheus has loaded the wanted rules in the groups where the changed file has them, and can evaluate them.

    That their group has evaluated them, health ok, is not waited for: it takes up to the group's interval.
    """
    return Proof(
        step="loaded by Prometheus",
        what="Prometheus loading the alert rule",
        url=_rules_url(target),
        look=lambda: _rules_loaded(target, rules, change, timeout_s),
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


def _rules_loaded(target: Target, wanted: tuple[WantedRule, ...], change: FileChange, timeout_s: float) -> Served:
    prometheus = Prometheus(target.prometheus, answer_s(timeout_s))
    groups = of_file(prometheus.rules(), target)
    places = [
        (one.rule, group)
        for one in wanted
        for group in groups_of(change.after, one.rule.alert, change.path) or (GROUP,)
    ]
    found = [as_wanted(groups, rule, group, prometheus.normal_form) for rule, group in places]
    wrong = [one for one in found if isinstance(one, str)]
    if wrong:
        return Served(is_served=False, saw=wrong[0])
    return _answering(prometheus, [one for one in found if isinstance(one, InGroup)], target)


def _answering(prometheus: Prometheus, loaded: Sequence[InGroup], target: Target) -> Served:
    """Put the expressions of loaded rules to the query API. Raises RunbookError where one cannot be evaluated."""
    answers = tuple(answer_now(prometheus, one.rule, target) for one in loaded)
    saw = "; ".join(
        f"{told(one)}; its expression answers {answer.saw}" for one, answer in zip(loaded, answers, strict=True)
    )
    return Served(is_served=True, saw=saw, also=answers)


def _dashboard_file_served(target: Target, change: FileChange, timeout_s: float) -> Served:
    uid = target.grafana.dashboard_uid
    dashboard = Grafana(target.grafana, answer_s(timeout_s)).dashboard(uid)
    if dashboard is None:
        return Served(is_served=False, saw=f"Grafana has no dashboard {uid}")
    wrong = served_panels_difference(dashboard.panels, change)
    saw = wrong or f"all panels of the file are served, what was changed as before ({len(dashboard.panels)} panels)"
    return Served(is_served=not wrong, saw=f"version {dashboard.version}: {saw}")


def _rules_file_loaded(target: Target, change: FileChange, timeout_s: float) -> Served:
    prometheus = Prometheus(target.prometheus, answer_s(timeout_s))
    loaded = [InGroup(group=group, rule=rule) for group in of_file(prometheus.rules(), target) for rule in group.rules]
    wrong = loaded_rules_difference(map(_grouped, loaded), change, prometheus.normal_form)
    if wrong:
        return Served(is_served=False, saw=wrong)
    touched = touched_rules(change)
    back = _answering(prometheus, [one for one in loaded if _grouped(one).name in touched], target)
    saw = f"all rules of the file are loaded, what was changed as before ({len(loaded)} rules)"
    return Served(is_served=True, saw="; ".join(filter(None, (saw, back.saw))), also=back.also)


def _grouped(one: InGroup) -> GroupedRule:
    return GroupedRule(group=one.group.name, rule=as_written(one.rule))


def _dashboard_url(target: Target) -> str:
    return f"{target.grafana.url}/api/dashboards/uid/{target.grafana.dashboard_uid}"


def _rules_url(target: Target) -> str:
    return f"{target.prometheus.url}/api/v1/rules"
