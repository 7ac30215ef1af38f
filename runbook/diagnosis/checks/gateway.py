"""Hop gateway: the way of a request from the edge proxy to the gateway.

Asked with a job for a lead that cannot exist: the answer comes from ApexFlow and its database, and nothing is made.
"""

from http import HTTPStatus
from typing import Final

from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.container_checks import container_checks, stops
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import is_here
from runbook.diagnosis.service_state import down
from runbook.errors import RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.runs.run_history import NewestRun, holds, newest_run
from runbook.runs.run_log import TRAFFIC, RunEvent
from runbook.systems.gateway.client import ProbeAnswer

UPSTREAM: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_NO_TOKEN: Final = "none"  # noqa: S105 - an invalid one, on purpose
REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@Fact
def unauthenticated_answer(facts: Facts) -> ProbeAnswer:
    """Ask the gateway without a token: any answer proves that it, or the edge proxy before it, runs."""
    return facts.ask_gateway(_NO_TOKEN)


@Fact
def probe(facts: Facts) -> ProbeAnswer:
    """Ask the gateway with a token for what cannot exist: the answer proves the whole way to ApexFlow."""
    return facts.ask_gateway(facts.token().value)


@Fact
def last_traffic(facts: Facts) -> tuple[str, tuple[RunEvent, ...]] | None:
    """Return run id and events of the last traffic on this target; None when there was none."""
    found = newest_traffic(facts)
    return (found.run_log.run_id, found.events) if found.run_log else None


@Fact
def newest_traffic(facts: Facts) -> NewestRun:
    """Return the last traffic on this target, and the damaged runs that were passed over to find it."""
    return newest_run(facts.state_dir, holds(TRAFFIC), target=facts.target.name)


def _answers(facts: Facts) -> Finding:
    service = facts.target.gateway.as_service
    try:
        answer = unauthenticated_answer(facts)
    except UnreachableError as error:
        return down(facts, service, saw(error.where, error.seen))
    return Ok((probe_seen(facts, answer),))


def _heard(facts: Facts) -> Evidence:
    """Return that the gateway answered. The edge proxy answers in its place where it is not there."""
    answer = unauthenticated_answer(facts)
    seen = probe_seen(facts, answer)
    if answer.is_proxy_404 or answer.status in UPSTREAM:
        raise RunbookError(seen.saw, where=seen.source, fix=inv("troubleshoot"))
    return seen


def _routes(facts: Facts) -> Finding:
    answer = unauthenticated_answer(facts)
    seen = probe_seen(facts, answer)
    if answer.is_proxy_404:
        return broken(seen, host=facts.target.gateway.host, setting=facts.places)
    return Ok((seen,))


def _lets_in(facts: Facts) -> Finding:
    seen = probe_seen(facts, probe(facts))
    if probe(facts).status in REFUSED:
        return broken(seen, log=facts.log_command(facts.target.gateway.as_service))
    return Ok((seen,))


def _makes_new_data(facts: Facts) -> Finding:
    last = last_traffic(facts)
    if last is None:
        return Ok((saw("the runs on this target", "no traffic yet"),))
    run_id, events = last
    for event in events:
        if event.kind == "problem" and event.data.get("code") == "GW_DUPLICATE":
            seen = saw(str(event.data.get("where")), str(event.data.get("seen")))
            return broken(saw(f"run {run_id}", "ended with 409"), seen)
    return Ok((saw(f"run {run_id}", "no 409"),))


def probe_seen(facts: Facts, answer: ProbeAnswer) -> Evidence:
    """Return what a request for a job of a lead that cannot exist was answered."""
    mine = facts.target.gateway
    return saw(f"POST {mine.url.rstrip('/')}/jobs, Host {mine.host}, a lead that cannot exist", answer.saw)


CHECKS = (
    *container_checks(
        "gateway",
        "The gateway",
        lambda facts: facts.target.gateway.as_service,
        _heard,
        is_here=lambda facts: is_here(facts, facts.target.gateway.url),
    ),
    Check(
        code="GW_DOWN",
        hop="gateway",
        claim="The gateway answers",
        diagnosis="The gateway does not answer",
        sign="refused or timed out, and neither it nor the edge proxy has exited",
        fix="{start}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("proxy"), *stops("gateway")),
        run=_answers,
    ),
    Check(
        code="GW_ROUTE",
        hop="gateway",
        claim="The edge proxy has a route for the host",
        diagnosis="The edge proxy has no route for the host {host}",
        sign="404 in the edge proxy's own words",
        fix="correct {setting:gateway.host}, or the proxy's rule for that host",
        needs=("GW_DOWN",),
        run=_routes,
    ),
    Check(
        code="GW_AUTH",
        hop="gateway",
        claim="The gateway accepts the token",
        diagnosis="The gateway refuses a good token",
        sign="401 or 403 with a token that Keycloak has just given",
        fix="{log}: its last lines say what is wrong with the token",
        needs=("TOKEN_TENANT", "GW_ROUTE"),
        run=_lets_in,
    ),
    Check(
        code="GW_DUPLICATE",
        hop="gateway",
        claim="The last traffic run created new test data",
        diagnosis="The last traffic run met test data that exists already",
        sign="the last traffic run ended with 409: no outage",
        fix="{inv:traffic}: its new run id makes new e-mail addresses",
        needs=("GW_ROUTE",),
        told="last",
        run=_makes_new_data,
    ),
)
