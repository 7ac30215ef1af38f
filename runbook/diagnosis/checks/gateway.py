"""Hops gateway, apexflow and database: the way of a request from the edge proxy to what creates the entity.

Asked with a job for a lead that cannot exist: the answer comes from ApexFlow and its database, and nothing is made.
"""

from http import HTTPStatus

from runbook.diagnosis.checks.containers import container_checks
from runbook.diagnosis.engine import Check, Finding, NotChecked, Ok
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.services import (
    down,
    has_ended_for_sure,
    log_command,
    restart_command,
)
from runbook.errors import RunbookError, UnreachableError
from runbook.model import Evidence
from runbook.systems.gateway.client import ProbeAnswer
from runbook.systems.runtime import Service

_UPSTREAM = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_LOOKED_UP = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NOT_FOUND})


def _answers(facts: Facts) -> Finding:
    service = facts.target.gateway.as_service
    try:
        answer = facts.unauthenticated_answer()
    except UnreachableError as error:
        return down(facts, "GW_DOWN", service, saw(error.where, error.seen))
    seen = _seen(facts, answer)
    if (answer.is_proxy_404 or answer.status in _UPSTREAM) and has_ended_for_sure(facts, service):
        return down(facts, "GW_DOWN", service, seen)
    return Ok((seen,))


def _routes(facts: Facts) -> Finding:
    seen = _seen(facts, facts.unauthenticated_answer())
    if facts.unauthenticated_answer().is_proxy_404:
        return broken("GW_ROUTE", seen, host=facts.target.gateway.host)
    return Ok((seen,))


def _lets_in(facts: Facts) -> Finding:
    seen = _seen(facts, facts.probe())
    if facts.probe().status in _REFUSED:
        return broken("GW_AUTH", seen, log=log_command(facts, _gateway(facts)))
    return Ok((seen,))


def _apexflow_answer(facts: Facts) -> Evidence:
    answer = facts.probe()
    seen = _seen(facts, answer)
    if answer.is_proxy_404 or answer.status in _UPSTREAM | _REFUSED:
        raise RunbookError(seen.saw, where=seen.source, fix="inv troubleshoot")
    return seen


def _reaches_apexflow(facts: Facts) -> Finding:
    seen = _seen(facts, facts.probe())
    if facts.probe().status in _UPSTREAM:
        return broken("GW_UPSTREAM", seen, restart=restart_command(facts, _apexflow(facts)))
    return Ok((seen,))


def _looks_up(facts: Facts) -> Finding:
    """A 404 for the lead proves the database; a 500 alone does not prove that the database is the cause."""
    seen = _seen(facts, facts.probe())
    if facts.probe().status in _LOOKED_UP:
        return Ok((seen,))
    database = facts.target.apexflow.database
    if has_ended_for_sure(facts, database):
        return down(facts, "DB_DOWN", database, seen)
    return NotChecked(seen.saw, where=seen.source, fix=log_command(facts, _apexflow(facts)))


def _makes_new_data(facts: Facts) -> Finding:
    last = facts.last_traffic()
    if last is None:
        return Ok((saw("the records of this target", "no traffic run yet"),))
    run_id, events = last
    for event in events:
        if event.kind == "problem" and event.data.get("code") == "GW_DUPLICATE":
            seen = saw(str(event.data.get("where")), str(event.data.get("seen")))
            return broken("GW_DUPLICATE", saw(f"record of run {run_id}", "ended with 409"), seen)
    return Ok((saw(f"record of run {run_id}", "no 409"),))


def _gateway(facts: Facts) -> Service:
    return facts.target.gateway.as_service


def _apexflow(facts: Facts) -> Service:
    return facts.target.apexflow.as_service


def _seen(facts: Facts, answer: ProbeAnswer) -> Evidence:
    mine = facts.target.gateway
    return saw(f"POST {mine.url.rstrip('/')}/jobs, Host {mine.host}, a lead that cannot exist", answer.saw)


CHECKS = (
    Check(code="GW_DOWN", hop="gateway", claim="The gateway answers", needs=("DOCKER_DOWN",), run=_answers),
    Check(
        code="GW_ROUTE", hop="gateway", claim="The edge proxy has a route for the host", needs=("GW_DOWN",), run=_routes
    ),
    Check(
        code="GW_AUTH",
        hop="gateway",
        claim="The gateway accepts the token",
        needs=("TOKEN_TENANT", "GW_ROUTE"),
        run=_lets_in,
    ),
    *container_checks("apexflow", "ApexFlow", _apexflow, _apexflow_answer),
    Check(
        code="GW_UPSTREAM",
        hop="apexflow",
        claim="The gateway reaches ApexFlow",
        needs=("GW_AUTH", "apexflow.CTR_EXITED"),
        run=_reaches_apexflow,
    ),
    Check(
        code="DB_DOWN",
        hop="database",
        claim="ApexFlow reaches its database",
        needs=("GW_UPSTREAM",),
        run=_looks_up,
    ),
    Check(
        code="GW_DUPLICATE",
        hop="gateway",
        claim="The last traffic run met no test data of an earlier one",
        needs=("GW_ROUTE",),
        run=_makes_new_data,
    ),
)
