"""Hop alertmanager: it serves, it is told, and somebody would hear the alert."""

from collections.abc import Mapping

from runbook.diagnosis.checks.reach import port_check
from runbook.diagnosis.checks.rules import loaded_rule
from runbook.diagnosis.engine import Check, Finding, Ok
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.services import alertmanager, down
from runbook.errors import RunbookError, UnreachableError
from runbook.names import ALERT


def _answers(facts: Facts) -> Finding:
    mine = facts.target.alertmanager
    service = alertmanager(facts)
    try:
        ready = facts.alertmanager_ready()
    except UnreachableError as error:
        return down(facts, "M_DOWN", service, saw(error.where, error.seen))
    seen = saw(f"GET {mine.url}/-/ready", f"{ready.status} {ready.saw}")
    return Ok((seen,)) if ready.ready else down(facts, "M_DOWN", service, seen)


def _is_told(facts: Facts) -> Finding:
    where = f"GET {facts.target.prometheus.url}/api/v1/status/config"
    if facts.config().has_alertmanagers:
        return Ok((saw(where, "alerting names an Alertmanager"),))
    return broken("M_DISCONNECTED", saw(where, "alerting names no Alertmanager"))


def _is_heard(facts: Facts) -> Finding:
    where, labels = f"GET {facts.target.alertmanager.url}/api/v2/silences", _labels(facts)
    silences = facts.silences()
    matching = [one for one in silences if one.matches(labels)]
    if not matching:
        return Ok((saw(where, f"{len(silences)} active, none matches {ALERT}"),))
    last = max(matching, key=lambda one: one.ends_at)
    until = f"{last.ends_at:%Y-%m-%d %H:%M} UTC"
    seen = saw(where, f"silence {last.id} until {until} by {last.author}: {last.comment}")
    return broken("M_SILENCED", seen, until=until, by=last.author)


def _labels(facts: Facts) -> Mapping[str, str]:
    """Return the labels that the alert would have; without Prometheus, those that are known anyway."""
    known = {"alertname": ALERT, "job": facts.target.prometheus.job}
    try:
        rule = loaded_rule(facts)
    except RunbookError:
        return known
    return known | dict(rule.labels) if rule else known


CHECKS = (
    port_check(
        "alertmanager",
        "Alertmanager",
        alertmanager,
        lambda facts: facts.target.alertmanager.url,
        Facts.alertmanager_ready,
    ),
    Check(
        code="M_DOWN",
        hop="alertmanager",
        claim="Alertmanager answers",
        needs=("DOCKER_DOWN",),
        unless=("alertmanager.PORT_UNPUBLISHED",),
        run=_answers,
    ),
    Check(
        code="M_DISCONNECTED",
        hop="alertmanager",
        claim="Prometheus knows an Alertmanager",
        needs=("P_DOWN",),
        run=_is_told,
    ),
    Check(code="M_SILENCED", hop="alertmanager", claim="No silence hides the alert", needs=("M_DOWN",), run=_is_heard),
)
