"""The rules as Prometheus has loaded them: in which group, as wanted or not, and what their expressions answer now.

A group is evaluated once an interval, at a moment that is a hash of its file and name (EvalTimestamp in rules/group.go
of Prometheus): a rule that has just been loaded has health "unknown" for up to that interval. What can be asked at once
is whether it is loaded as wanted and whether the query API evaluates its expression against the data of now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runbook.errors import AnswerError, RunbookError
from runbook.files.prometheus_text import one_line
from runbook.files.served_difference import NormalForm
from runbook.files.wanted_rule import Rule, differing_rule_fields
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Rule as LoadedRule
from runbook.systems.prometheus.records import RuleGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class InGroup:
    """A loaded rule and the group that it is in."""

    group: RuleGroup
    rule: LoadedRule


def of_file(groups: Sequence[RuleGroup], target: Target) -> Sequence[RuleGroup]:
    """Return the groups of the rules file; all of them where Prometheus names its files otherwise than the settings."""
    return [group for group in groups if group.file == target.prometheus.rules_inside] or groups


def as_wanted(groups: Sequence[RuleGroup], wanted: Rule, group: str, normal_form: NormalForm) -> InGroup | str:
    """Return the wanted rule as it is loaded in the group of that name, or what is loaded instead, in one sentence."""
    named = [InGroup(group=one, rule=rule) for one in groups for rule in one.rules if rule.name == wanted.alert]
    if not named:
        others = sum(len(one.rules) for one in groups)
        return f"{wanted.alert} is not loaded, {others} other rules are"
    here = [one for one in named if one.group.name == group]
    if not here:
        return f"{wanted.alert} is loaded in group {named[0].group.name}, not in {group}"
    differing = [differing_rule_fields(as_written(one.rule), _normal(wanted, one.rule, normal_form)) for one in here]
    same = [one for one, fields in zip(here, differing, strict=True) if not fields]
    if not same:
        return f"{wanted.alert} is loaded with other {', '.join(differing[0])}"
    if same[0].rule.health == "err":
        return f"{wanted.alert} is loaded, and its evaluation failed: {same[0].rule.last_error}"
    return same[0]


def answer_now(prometheus: Prometheus, rule: LoadedRule, target: Target) -> Evidence:
    """Return what the expression of a loaded rule answers now.

    Raises RunbookError if it cannot be evaluated, as its group could not.
    """
    source = f"GET {target.prometheus.url}/api/v1/query: {one_line(rule.query)}"
    try:
        samples = prometheus.query(rule.query)
    except AnswerError as error:
        raise RunbookError(
            f"{rule.name} is loaded, and its expression cannot be evaluated now: {error.seen}",
            where=source,
            fix=f"{error.fix}; then {inv('setup')}",
        ) from None
    return Evidence(source=source, saw=f"{len(samples)} series now")


def told(loaded: InGroup) -> str:
    """Say what was seen of a loaded rule, and what is still due: `... evaluated with health ok`, or when it will be."""
    place = f"{loaded.rule.name} is loaded in group {loaded.group.name} of {loaded.group.file} as wanted"
    if loaded.rule.health == "ok":
        return f"{place}, evaluated with health ok"
    due = f"its first evaluation is due within {loaded.group.interval_s:g} s"
    return f"{place}, not evaluated yet: {due}, and {inv('verify')} asks for it"


def as_written(rule: LoadedRule) -> Rule:
    """Return a loaded rule as it would be written."""
    return Rule(
        alert=rule.name, expr=rule.query, for_s=rule.duration_s, labels=rule.labels, annotations=rule.annotations
    )


def _normal(wanted: Rule, seen: LoadedRule, normal_form: NormalForm) -> Rule:
    """Return the wanted rule with its expression as Prometheus writes it, where the two are not spelt alike."""
    if one_line(wanted.expr) == one_line(seen.query):
        return wanted
    return replace(wanted, expr=normal_form(wanted.expr) or wanted.expr)
