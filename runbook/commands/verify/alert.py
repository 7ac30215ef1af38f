"""The look at the alert rule: loaded, and evaluated with health ok.

A group is evaluated once an interval, at a moment that is a hash of its file and name: a rule that has just been loaded
has health "unknown" until then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from runbook.commands.task_run import StepOutput
from runbook.commands.verify.events import EVERY_S
from runbook.invocation import inv
from runbook.model import Evidence, Sight
from runbook.names import ALERT
from runbook.settings import Target
from runbook.systems.http import answer_s
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Rule, RuleGroup
from runbook.waiting import watch
from runbook.wording import moment

_MARGIN: Final = timedelta(seconds=5)
"""An evaluation may come so late, and its result still be on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSeen:
    """How Prometheus has loaded the alert. Not checked: its first evaluation is not due yet."""

    outcome: Sight
    saw: str
    fix: str = ""


def alert_rule(target: Target, timeout_s: float) -> StepOutput[AlertSeen]:
    """Find the runbook's alert among the loaded rules; its first evaluation is waited for while it is due in time."""
    prometheus = Prometheus(target.prometheus, answer_s(timeout_s))
    began = datetime.now(UTC)

    def look() -> tuple[AlertSeen, bool]:
        seen = alert_seen(prometheus.rules(), since=began, now=datetime.now(UTC))
        return seen, seen.outcome != "not_checked"

    seen, _ = watch(look, deadline_s=timeout_s, every_s=EVERY_S)
    evidence = (Evidence(source=f"GET {target.prometheus.url}/api/v1/rules", saw=seen.saw),)
    return StepOutput(value=seen, outcome=seen.outcome, reason=seen.saw, evidence=evidence, fix=seen.fix)


def alert_seen(groups: Sequence[RuleGroup], *, since: datetime, now: datetime) -> AlertSeen:
    """Return what the loaded groups say of the alert; `since` is when they were first asked."""
    loaded = [(group, rule) for group in groups for rule in group.rules if rule.name == ALERT]
    if not loaded:
        return AlertSeen(outcome="failed", saw=f"{ALERT} is in none of the loaded groups", fix=inv("setup"))
    saw = "; ".join(_told(group, rule) for group, rule in loaded)
    if any(rule.health not in {"ok", "unknown"} for _, rule in loaded):
        return AlertSeen(outcome="failed", saw=saw, fix=f"{inv('setup')} writes the rule as it should be")
    if any(rule.state == "firing" for _, rule in loaded):
        return AlertSeen(outcome="failed", saw=saw, fix=f"{inv('troubleshoot')} names why the sink is not scraped")
    waiting = [group for group, rule in loaded if rule.health == "unknown"]
    if not waiting:
        return AlertSeen(outcome="ok", saw=saw)
    due = since + timedelta(seconds=max(group.interval_s for group in waiting)) + _MARGIN
    if now <= due:
        saw = f"{saw}; not evaluated yet, its first evaluation is due by {moment(due)}"
        return AlertSeen(outcome="not_checked", saw=saw, fix=f"{inv('verify')} after {moment(due)}")
    saw = f"{saw}; not evaluated, though that was due by {moment(due)}"
    return AlertSeen(
        outcome="failed", saw=saw, fix=f"{inv('troubleshoot --hop rules')}; restart Prometheus if it hangs"
    )


def _told(group: RuleGroup, rule: Rule) -> str:
    error = f", {rule.last_error}" if rule.last_error else ""
    return f"{ALERT} in group {group.name}: health {rule.health}, state {rule.state}{error}"
