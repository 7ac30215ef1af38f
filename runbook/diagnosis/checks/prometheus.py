"""Hop prometheus: it serves, knows the sink, and scrapes it."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from runbook.diagnosis import boundaries
from runbook.diagnosis.answers import OF_TLS, WRONG_ANSWER, Told, after, answer_checks, but_answers, silent
from runbook.diagnosis.boundary_checks import boundary_check
from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.checks.rules import correcting, file_problem
from runbook.diagnosis.container_checks import server_checks, stops
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import network_check, network_finding
from runbook.errors import AnswerError, ProtocolError, RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import ScrapeTarget
from runbook.systems.runtime import Service


@Fact
def leads_to(facts: Facts) -> str:
    """Return where the root of its address leads; empty if nowhere."""
    return facts.ask_prometheus(Prometheus.leads_to)


@but_answers
def _answers(facts: Facts) -> Finding:
    mine = facts.target.prometheus
    try:
        ready = facts.prometheus_ready()
    except UnreachableError as error:
        return _down(facts, error)
    return Ok((saw(f"GET {mine.url}/-/ready", f"{ready.status} {ready.saw}{after(facts, ready.took_s)}"),))


def _down(facts: Facts, error: UnreachableError) -> Finding:
    """A start with a broken rules file ends Prometheus at once: whoever starts it again must mend the file first."""
    mine, rules = facts.target.prometheus, _broken_rules(facts)
    found = silent(facts, mine.as_service, error, address=mine.place_of("url"))
    if rules is None:
        return found
    cause, first = rules
    fix = f"{first}, then {facts.start_command(mine.as_service)}"
    return broken(*found.evidence, cause, **{**found.fields, "fix": fix})


@but_answers
def _has_started(facts: Facts) -> Finding:
    mine, ready = facts.target.prometheus, facts.prometheus_ready()
    seen = saw(f"GET {mine.url}/-/ready", f"{ready.status} {ready.saw}")
    return Ok((seen,)) if ready.ready else broken(seen, log=facts.log_command(mine.as_service))


def _ready(facts: Facts) -> Evidence:
    """Return that it is spoken to as it should be: by its readiness page, or else by its API."""
    mine = facts.target.prometheus
    try:
        ready = facts.prometheus_ready()
    except (AnswerError, ProtocolError) as error:
        return _api_instead(facts, error)
    return saw(f"GET {mine.url}/-/ready", f"{ready.status} {ready.saw}")


def _api_instead(facts: Facts, refused: AnswerError | ProtocolError) -> Evidence:
    """A proxy may pass on the API alone. Raises what the page was refused with, with the prefix where it is known."""
    try:
        facts.config()
    except RunbookError:
        raise _with_prefix(facts, refused) from None
    return saw(f"GET {facts.target.prometheus.url}/api/v1/status/config", f"answers; {refused.seen}")


def _with_prefix(facts: Facts, refused: AnswerError | ProtocolError) -> AnswerError | ProtocolError:
    """Say where the root of its address leads: to its prefix, where it has one."""
    mine = facts.target.prometheus
    if not isinstance(refused, AnswerError) or refused.code != _NO_PATH:
        return refused
    try:
        root, _, _ = urlsplit(leads_to(facts)).path.strip("/").partition("/")
    except RunbookError:
        return refused
    if not root or root in _PAGES:
        return refused
    url = f"{mine.url.rstrip('/')}/{root}"
    return AnswerError(
        f"{refused.seen}; its root leads to /{root}",
        where=refused.where,
        fix=f"set {mine.place_of('url')} to {url}",
        status=refused.status,
        code=refused.code,
        body=refused.body,
    )


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


_NO_PATH: Final = "no_path"
_PAGES: Final = frozenset({"graph", "query", "classic"})  # where an address without a prefix leads
_ANSWERS: Final = (
    Told(
        code="P_TLS",
        met=OF_TLS,
        claim="Prometheus is spoken to with TLS that both sides accept",
        diagnosis="Prometheus cannot be spoken to: {seen}",
        sign="an error of TLS, or http where https is spoken",
    ),
    Told(
        code="P_AUTH",
        met=frozenset({"unauthorized", "forbidden"}),
        claim="Prometheus lets us in",
        diagnosis="Prometheus, or a proxy before it, does not let us in: {seen}",
        sign="401 or 403 on its readiness page and on its API",
    ),
    Told(
        code="P_PREFIX",
        met=frozenset({_NO_PATH}),
        claim="Prometheus is at the path of its address",
        diagnosis="At the address of Prometheus there is something else, or it has a path prefix",
        sign="404 on its readiness page and on its API",
    ),
    WRONG_ANSWER,
)

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
        diagnosis="Prometheus {state}",
        sign="refused, timed out, or its name does not resolve",
        fix="{fix}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("prometheus"), "prometheus.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    Check(
        code="P_STARTING",
        hop="prometheus",
        claim="Prometheus has started",
        diagnosis="Prometheus is still starting",
        sign="503 in its own words on /-/ready: it replays its log",
        fix="wait until it has replayed its log ({log} shows how far it is), then {inv:troubleshoot}",
        needs=("P_DOWN",),
        run=_has_started,
    ),
    *answer_checks("prometheus", _ready, _ANSWERS, needs="P_STARTING"),
    Check(
        code="P_NO_JOB",
        hop="prometheus",
        claim="Prometheus has a scrape job for the sink",
        diagnosis="Prometheus has no scrape job {job}",
        sign="the loaded configuration names no such job",
        fix="add the job {job} to prometheus.yml, then curl -X POST {url}/-/reload",
        needs=("prometheus.WRONG_ANSWER",),
        run=_has_job,
    ),
    network_check(
        "prometheus",
        "The networks let Prometheus reach the sink",
        _shares_a_network,
        "P_NO_JOB",
        "metrics.WRONG_ANSWER",
    ),
    Check(
        code="P_TARGET",
        hop="prometheus",
        claim="Prometheus scrapes the sink",
        diagnosis="Prometheus cannot scrape the sink at {scrape_url}",
        sign="the target is down since the page last answered, with lastError as evidence",
        fix="correct the target of the job {job} in prometheus.yml, then curl -X POST {url}/-/reload",
        needs=("P_NO_JOB", "metrics.WRONG_ANSWER", "prometheus.WRONG_NETWORK"),
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
