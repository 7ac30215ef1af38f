"""Hop prometheus: it serves, knows the sink, and scrapes it."""

from collections.abc import Iterable

from runbook.diagnosis import boundaries
from runbook.diagnosis.boundary_checks import boundary_check
from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.checks.rules import correcting, file_problem
from runbook.diagnosis.container_checks import server_checks, stops
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import network_check, network_finding
from runbook.diagnosis.service_state import down, state_evidence
from runbook.errors import UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.prometheus.records import ScrapeTarget
from runbook.systems.runtime import Service


def _answers(facts: Facts) -> Finding:
    mine = facts.target.prometheus
    try:
        ready = facts.prometheus_ready()
    except UnreachableError as error:
        return _down(facts, saw(error.where, error.seen))
    seen = saw(f"GET {mine.url}/-/ready", f"{ready.status} {ready.saw}")
    return Ok((seen,)) if ready.ready else down(facts, mine.as_service, seen)


def _down(facts: Facts, refused: Evidence) -> Finding:
    """A start with a broken rules file ends Prometheus at once: whoever starts it again must mend the file first."""
    service, found = facts.target.prometheus.as_service, _broken_rules(facts)
    if found is None:
        return down(facts, service, refused)
    cause, first = found
    start = f"{first}, then {facts.start_command(service)}"
    return broken(refused, *state_evidence(facts, service), cause, start=start)


def _broken_rules(facts: Facts) -> tuple[Evidence, str] | None:
    """Return the rules file that keeps Prometheus from starting, and how it gets valid again."""
    problem = file_problem(facts)
    if problem is None:
        return None
    cause = saw(problem.source, f"{problem.saw}: Prometheus will not start with it")
    return cause, correcting(facts, problem.source)


def _has_job(facts: Facts) -> Finding:
    mine, jobs = facts.target.prometheus, facts.config().jobs
    seen = saw(f"GET {mine.url}/api/v1/status/config", f"scrape jobs: {', '.join(jobs) or 'none'}")
    return Ok((seen,)) if mine.job in jobs else broken(seen, job=mine.job, url=mine.url)


def _shares_a_network(facts: Facts) -> Finding:
    found = facts.targets()
    failed = [one for one in found if facts.is_settled(one) and one.health == "down"]
    if not failed:
        return Ok((_targets_seen(facts, found),))
    one = failed[0]
    sink = facts.target.sink.as_service
    complaint = _targets_seen(facts, failed[:1])
    return network_finding(facts, _prometheus(facts), sink, url=one.url, error=one.last_error, complaint=complaint)


def _scrapes(facts: Facts) -> Finding:
    mine, found = facts.target.prometheus, facts.targets()
    settled = [one for one in found if facts.is_settled(one)]
    if not settled:
        seen = _targets_seen(facts, found)
        fix = f"{inv('troubleshoot')}, in half a minute"
        return NotChecked(f"{seen.saw}: not scraped since the start", where=seen.source, fix=fix)
    failed = [one for one in settled if one.health == "down"]
    seen = _targets_seen(facts, settled)
    return broken(seen, scrape_url=failed[0].url, job=mine.job, url=mine.url) if failed else Ok((seen,))


def _targets_seen(facts: Facts, targets: Iterable[ScrapeTarget]) -> Evidence:
    mine = facts.target.prometheus
    said = "; ".join(_said(one) for one in targets) or f"no target of job {mine.job}"
    return saw(f"GET {mine.url}/api/v1/targets", said)


def _said(one: ScrapeTarget) -> str:
    error = f', lastError "{one.last_error}"' if one.last_error else ""
    return f"{one.job} at {one.url}: {'dropped' if one.dropped else one.health}{error}"


def _prometheus(facts: Facts) -> Service:
    return facts.target.prometheus.as_service


CHECKS = (
    *server_checks(
        "prometheus",
        "Prometheus",
        _prometheus,
        lambda facts: facts.target.prometheus.url,
        Facts.prometheus_ready,
        cause=_broken_rules,
    ),
    Check(
        code="P_DOWN",
        hop="prometheus",
        claim="Prometheus answers",
        diagnosis="Prometheus does not answer",
        sign="refused, timed out, or not ready",
        fix="{start}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("prometheus"), "prometheus.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    Check(
        code="P_NO_JOB",
        hop="prometheus",
        claim="Prometheus has a scrape job for the sink",
        diagnosis="Prometheus has no scrape job {job}",
        sign="the loaded configuration names no such job",
        fix="add the job {job} to prometheus.yml, then curl -X POST {url}/-/reload",
        needs=("P_DOWN",),
        run=_has_job,
    ),
    network_check(
        "prometheus", "The networks let Prometheus reach the sink", _shares_a_network, "P_NO_JOB", "S_METRICS_DOWN"
    ),
    Check(
        code="P_TARGET",
        hop="prometheus",
        claim="Prometheus scrapes the sink",
        diagnosis="Prometheus cannot scrape the sink at {scrape_url}",
        sign="the target is down since the page last answered, with lastError as evidence",
        fix="correct the target of the job {job} in prometheus.yml, then curl -X POST {url}/-/reload",
        needs=("P_NO_JOB", "S_METRICS_DOWN", "prometheus.WRONG_NETWORK"),
        run=_scrapes,
    ),
    boundary_check(
        "LOSS_SINK_PROMETHEUS",
        "prometheus",
        boundaries.sink_prometheus,
        between="the sink and Prometheus",
        sign="the newest scrape differs from the sink's page at the same position, or is held twice",
        log_of=_prometheus,
        needs=("P_TARGET", "Q_DOWN"),
    ),
)
