"""Hop grafana: it serves, lets us in, and shows the dashboard that the file holds."""

from runbook.checks.engine import Check, Finding, NotChecked, Ok
from runbook.checks.facts import NEW_PANELS, Facts, saw
from runbook.checks.faults import broken
from runbook.checks.files import panel_ids
from runbook.checks.services import down, restart_command
from runbook.clients.runtime import Service
from runbook.errors import AnswerError, UnreachableError


def _answers(facts: Facts) -> Finding:
    mine = facts.target.grafana
    try:
        health = facts.grafana_health()
    except UnreachableError as error:
        return down(facts, "F_DOWN", _grafana(facts), saw(error.where, error.seen))
    seen = saw(f"GET {mine.url}/api/health", f"{health.status}, version {health.version}")
    return Ok((seen,)) if health.ok else down(facts, "F_DOWN", _grafana(facts), seen)


def _lets_in(facts: Facts) -> Finding:
    try:
        facts.dashboard()
    except AnswerError as error:
        if error.code != "unauthorized":
            raise
        return broken("F_AUTH", saw(error.where, error.seen), user=facts.target.grafana.username)
    return Ok((saw(_where(facts), "accepted"),))


def _serves_the_file(facts: Facts) -> Finding:
    file = facts.dashboard_file()
    try:
        in_file = panel_ids(file.content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return NotChecked(f"this is no dashboard: {error}", where=file.where, fix="inv rollback")
    if not in_file >= NEW_PANELS:
        return NotChecked("no panels 20 and 21 in it: setup has not been applied", where=file.where, fix="inv setup")
    served = facts.served_panels()
    if served >= NEW_PANELS:
        return Ok((saw(_where(facts), "panels 20 and 21 are served"),))
    missing = ", ".join(map(str, sorted(NEW_PANELS - served)))
    seen = saw(_where(facts), f"the dashboard is served without {missing}, or not at all")
    restart = restart_command(facts, _grafana(facts))
    return broken("F_NOT_PROVISIONED", saw(file.where, "holds panels 20 and 21"), seen, restart=restart)


def _grafana(facts: Facts) -> Service:
    return Service(name=facts.target.grafana.service, container=facts.target.grafana.container)


def _where(facts: Facts) -> str:
    return f"GET {facts.target.grafana.url}/api/dashboards/uid/{facts.target.grafana.dashboard_uid}"


CHECKS = (
    Check(code="F_DOWN", hop="grafana", claim="Grafana answers", needs=("DOCKER_DOWN",), run=_answers),
    Check(code="F_AUTH", hop="grafana", claim="Grafana accepts the user", needs=("F_DOWN",), run=_lets_in),
    Check(
        code="F_NOT_PROVISIONED",
        hop="grafana",
        claim="Grafana serves panels 20 and 21",
        needs=("F_AUTH",),
        run=_serves_the_file,
    ),
)
