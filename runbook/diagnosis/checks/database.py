"""Hop database: where ApexFlow keeps leads and jobs."""

from http import HTTPStatus
from typing import Final

from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.checks.gateway import probe, probe_seen
from runbook.diagnosis.container_checks import container_checks, stops
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import networks_apart
from runbook.diagnosis.service_state import complaints, state_evidence
from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.runtime import Service

_LOOKED_UP: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NOT_FOUND})


def _looked_up(facts: Facts) -> Evidence:
    """Return that ApexFlow has looked into its database: a 404 for the lead proves it."""
    seen = probe_seen(facts, probe(facts))
    if probe(facts).status not in _LOOKED_UP:
        raise RunbookError(seen.saw, where=seen.source, fix=inv("troubleshoot"))
    return seen


def _is_looked_up(facts: Facts) -> Finding:
    """A 500 alone does not prove that the database is the cause: their networks do, or ApexFlow's own complaint."""
    mine, seen = facts.target.apexflow, probe_seen(facts, probe(facts))
    if probe(facts).status in _LOOKED_UP:
        return Ok((seen,))
    apart = networks_apart(facts, mine.as_service, mine.database)
    if apart:
        return broken(seen, *apart.evidence, fix=apart.fix)
    names = {mine.database.name, mine.database.container}
    lines = [line for line in complaints(facts, mine.as_service) if any(name in line for name in names)]
    if lines:
        said = saw(f"log of {mine.as_service.name}", lines[-1])
        return broken(seen, said, *state_evidence(facts, mine.database), fix=facts.start_command(mine.database))
    return NotChecked(seen.saw, where=seen.source, fix=facts.log_command(mine.as_service))


def _database(facts: Facts) -> Service:
    return facts.target.apexflow.database


CHECKS = (
    *container_checks("database", "ApexFlow's database", _database, _looked_up, is_here=lambda _: False),
    Check(
        code="DB_DOWN",
        hop="database",
        claim="ApexFlow reaches its database",
        diagnosis="ApexFlow does not reach its database",
        sign="ApexFlow fails, the database runs, and they share no network, or ApexFlow's log complains of it now",
        fix="{fix}",
        needs=("GW_UPSTREAM",),
        unless=stops("database"),
        run=_is_looked_up,
    ),
)
