"""Hop apexflow: what creates leads and jobs, asked through the gateway."""

from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.checks.gateway import REFUSED, UPSTREAM, probe, probe_seen
from runbook.diagnosis.container_checks import container_checks
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.model import Evidence


def _answer(facts: Facts) -> Evidence:
    answer = probe(facts)
    seen = probe_seen(facts, answer)
    if answer.is_proxy_404 or answer.status in UPSTREAM | REFUSED:
        raise RunbookError(seen.saw, where=seen.source, fix=inv("troubleshoot"))
    return seen


def _is_reached(facts: Facts) -> Finding:
    seen = probe_seen(facts, probe(facts))
    if probe(facts).status in UPSTREAM:
        return broken(seen, start=facts.start_command(facts.target.apexflow.as_service))
    return Ok((seen,))


CHECKS = (
    *container_checks("apexflow", "ApexFlow", lambda facts: facts.target.apexflow.as_service, _answer),
    Check(
        code="GW_UPSTREAM",
        hop="apexflow",
        claim="The gateway reaches ApexFlow",
        diagnosis="The gateway gets no answer from ApexFlow",
        sign="502, 503 or 504, and ApexFlow has not exited",
        fix="{start}",
        needs=("GW_AUTH", "apexflow.CTR_EXITED"),
        run=_is_reached,
    ),
)
