"""Hop grafana: it serves, lets us in, and shows the dashboard that the file holds."""

from runbook.diagnosis.checks.reach import network_finding, port_check
from runbook.diagnosis.engine import Check, Finding, NotChecked, Ok
from runbook.diagnosis.facts import NEW_PANELS, NO_DATASOURCE, Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.files import panel_ids
from runbook.diagnosis.services import down, grafana, prometheus, restart_command
from runbook.errors import AnswerError, UnreachableError
from runbook.model import Evidence
from runbook.systems.http import EXCERPT_CHARACTERS, shortened


def _answers(facts: Facts) -> Finding:
    mine = facts.target.grafana
    try:
        health = facts.grafana_health()
    except UnreachableError as error:
        return down(facts, "F_DOWN", grafana(facts), saw(error.where, error.seen))
    seen = saw(f"GET {mine.url}/api/health", f"{health.status}, version {health.version}")
    return Ok((seen,)) if health.ok else down(facts, "F_DOWN", grafana(facts), seen)


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
    restart = restart_command(facts, grafana(facts))
    return broken("F_NOT_PROVISIONED", saw(file.where, "holds panels 20 and 21"), seen, restart=restart)


def _has_the_datasource(facts: Facts) -> Finding:
    mine = facts.target.grafana
    try:
        source = facts.datasource()
    except AnswerError as error:
        if error.code != NO_DATASOURCE:
            raise
        return broken("F_DS_MISSING", saw(error.where, error.seen), name=mine.datasource_uid or mine.datasource)
    return Ok((saw(f"GET {mine.url}/api/datasources", f"{source.name}, uid {source.uid}"),))


def _shares_a_network(facts: Facts) -> Finding:
    source, health = facts.datasource(), facts.datasource_health()
    seen = _datasource_seen(facts)
    if health.ok:
        return Ok((seen,))
    return network_finding(
        facts, grafana(facts), prometheus(facts), url=source.url, error=health.message, complaint=seen
    )


def _reaches_prometheus(facts: Facts) -> Finding:
    seen = _datasource_seen(facts)
    return Ok((seen,)) if facts.datasource_health().ok else broken("F_DS_URL", seen, url=facts.datasource().url)


def _datasource_seen(facts: Facts) -> Evidence:
    source, health = facts.datasource(), facts.datasource_health()
    where = f"GET {facts.target.grafana.url}/api/datasources/uid/{source.uid}/health"
    return saw(where, f"{source.name} at {source.url}: {shortened(health.message, EXCERPT_CHARACTERS)}")


def _where(facts: Facts) -> str:
    return f"GET {facts.target.grafana.url}/api/dashboards/uid/{facts.target.grafana.dashboard_uid}"


CHECKS = (
    port_check("grafana", "Grafana", grafana, lambda facts: facts.target.grafana.url, Facts.grafana_health),
    Check(
        code="F_DOWN",
        hop="grafana",
        claim="Grafana answers",
        needs=("DOCKER_DOWN",),
        unless=("grafana.PORT_UNPUBLISHED",),
        run=_answers,
    ),
    Check(code="F_AUTH", hop="grafana", claim="Grafana accepts the user", needs=("F_DOWN",), run=_lets_in),
    Check(
        code="F_DS_MISSING",
        hop="grafana",
        claim="Grafana has the datasource",
        needs=("F_AUTH",),
        run=_has_the_datasource,
    ),
    Check(
        code="WRONG_NETWORK",
        hop="grafana",
        claim="No network keeps Grafana from Prometheus",
        needs=("F_DS_MISSING", "P_DOWN"),
        run=_shares_a_network,
    ),
    Check(
        code="F_DS_URL",
        hop="grafana",
        claim="Grafana reaches Prometheus",
        needs=("grafana.WRONG_NETWORK",),
        run=_reaches_prometheus,
    ),
    Check(
        code="F_NOT_PROVISIONED",
        hop="grafana",
        claim="Grafana serves panels 20 and 21",
        needs=("F_AUTH",),
        run=_serves_the_file,
    ),
)
