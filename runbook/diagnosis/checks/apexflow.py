"""Hop apexflow: what creates leads and jobs, asked through the gateway."""

from typing import Final

from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.checks.gateway import UPSTREAM, probe, probe_seen, unauthenticated_answer
from runbook.diagnosis.container_checks import container_checks
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.service_state import state_evidence
from runbook.errors import RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence

_BY_APEXFLOW: Final = "The gateway gets no answer from ApexFlow"
_BY_EITHER: Final = "The edge proxy gets no answer from the gateway, or the gateway gets none from ApexFlow"
_ITS_OWN: Final = frozenset({"", "not_found", "invalid", "bad_request", "duplicate", "server_error"})


def _answer(facts: Facts) -> Evidence:
    answer = probe(facts)
    seen = probe_seen(facts, answer)
    if not answer.is_json or answer.code not in _ITS_OWN:
        raise RunbookError(seen.saw, where=seen.source, fix=inv("troubleshoot"))
    return seen


def _is_reached(facts: Facts) -> Finding:
    try:
        answer = probe(facts)
    except UnreachableError as error:
        if error.reason != "timeout":
            raise
        return _not_reached(facts, saw(error.where, error.seen))
    seen = probe_seen(facts, answer)
    return _not_reached(facts, seen) if answer.status in UPSTREAM else Ok((seen,))


def _not_reached(facts: Facts, seen: Evidence) -> Finding:
    """Show beside it what a request without a token is answered: that the gateway itself runs, if it refuses it."""
    service, without = facts.target.apexflow.as_service, unauthenticated_answer(facts)
    others = (saw("the same without a token", without.saw), *state_evidence(facts, service))
    start, log = facts.start_command(service), facts.log_command(service)
    is_of_gateway = without.is_json or without.status not in UPSTREAM
    if not is_of_gateway:
        start = f"{facts.start_command(facts.target.gateway.as_service)}, then {start}"
    return broken(seen, *others, told=_BY_APEXFLOW if is_of_gateway else _BY_EITHER, start=start, log=log)


CHECKS = (
    *container_checks("apexflow", "ApexFlow", lambda facts: facts.target.apexflow.as_service, _answer),
    Check(
        code="GW_UPSTREAM",
        hop="apexflow",
        claim="The gateway reaches ApexFlow",
        diagnosis="{told}",
        sign="502, 503, 504 or no answer in time with a token, and ApexFlow has not exited; the edge proxy's own words "
        "without a token, too, may mean the gateway as well",
        fix="{start}; if it stays so, {log}, and the address that the gateway has of ApexFlow",
        needs=("TOKEN_TENANT", "GW_LIMIT", "apexflow.CTR_EXITED"),
        unless=("TOKEN_ISS", "TOKEN_TIME", "GW_AUTH"),
        run=_is_reached,
    ),
)
