"""Hop prometheus: it serves, knows the sink, and scrapes it."""

from runbook.diagnosis.checks.reach import network_finding, port_check
from runbook.diagnosis.engine import Check, Finding, NotChecked, Ok
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.services import down, prometheus, sink
from runbook.errors import RunbookError, UnreachableError
from runbook.files.rules_validity import rules_problem
from runbook.model import Evidence
from runbook.systems.prometheus.records import ScrapeTarget


def _answers(facts: Facts) -> Finding:
    mine = facts.target.prometheus
    service, where = prometheus(facts), f"GET {mine.url}/-/ready"
    try:
        ready = facts.prometheus_ready()
    except UnreachableError as error:
        return down(facts, "P_DOWN", service, saw(error.where, error.seen), *_why_it_cannot_start(facts))
    seen = saw(where, f"{ready.status} {ready.saw}")
    return Ok((seen,)) if ready.ready else down(facts, "P_DOWN", service, seen)


def _why_it_cannot_start(facts: Facts) -> tuple[Evidence, ...]:
    """A start with a broken rules file ends Prometheus: whoever starts it again must know."""
    try:
        file = facts.rules_file()
    except RunbookError:
        return ()
    problem = rules_problem(file.content, facts.target.prometheus.promtool)
    return (saw(file.where, f"{problem}: Prometheus will not start with it (inv rollback)"),) if problem else ()


def _has_job(facts: Facts) -> Finding:
    mine = facts.target.prometheus
    where, jobs = f"GET {mine.url}/api/v1/status/config", facts.config().jobs
    seen = saw(where, f"scrape jobs: {', '.join(jobs) or 'none'}")
    if mine.job not in jobs:
        return broken("P_NO_JOB", seen, job=mine.job, url=mine.url)
    return Ok((seen,))


def _scrapes(facts: Facts) -> Finding:
    mine = facts.target.prometheus
    where = f"GET {mine.url}/api/v1/targets"
    found = facts.targets()
    settled = [one for one in found if facts.is_settled(one)]
    if not settled:
        said = "; ".join(_said(one) for one in found) or f"no target of job {mine.job}"
        return NotChecked(f"{said}: not scraped since the start", where=where, fix="inv troubleshoot, in half a minute")
    seen = saw(where, "; ".join(_said(one) for one in settled))
    down_ones = [one for one in settled if one.health == "down"]
    if down_ones:
        return broken("P_TARGET", seen, scrape_url=down_ones[0].url, job=mine.job, url=mine.url)
    return Ok((seen,))


def _shares_a_network(facts: Facts) -> Finding:
    where = f"GET {facts.target.prometheus.url}/api/v1/targets"
    found = facts.targets()
    failed = [one for one in found if facts.is_settled(one) and one.health == "down"]
    if not failed:
        return Ok((saw(where, "; ".join(_said(one) for one in found) or "no target"),))
    one = failed[0]
    complaint = saw(where, _said(one))
    return network_finding(
        facts, prometheus(facts), sink(facts), url=one.url, error=one.last_error, complaint=complaint
    )


def _said(one: ScrapeTarget) -> str:
    error = f', lastError "{one.last_error}"' if one.last_error else ""
    return f"{one.job} at {one.url}: {'dropped' if one.dropped else one.health}{error}"


CHECKS = (
    port_check(
        "prometheus", "Prometheus", prometheus, lambda facts: facts.target.prometheus.url, Facts.prometheus_ready
    ),
    Check(
        code="P_DOWN",
        hop="prometheus",
        claim="Prometheus answers",
        needs=("DOCKER_DOWN",),
        unless=("prometheus.PORT_UNPUBLISHED",),
        run=_answers,
    ),
    Check(
        code="P_NO_JOB",
        hop="prometheus",
        claim="Prometheus has a scrape job for the sink",
        needs=("P_DOWN",),
        run=_has_job,
    ),
    Check(
        code="WRONG_NETWORK",
        hop="prometheus",
        claim="No network keeps Prometheus from the sink",
        needs=("P_NO_JOB", "S_METRICS_DOWN"),
        run=_shares_a_network,
    ),
    Check(
        code="P_TARGET",
        hop="prometheus",
        claim="Prometheus scrapes the sink",
        needs=("P_NO_JOB", "S_METRICS_DOWN", "prometheus.WRONG_NETWORK"),
        run=_scrapes,
    ),
)
