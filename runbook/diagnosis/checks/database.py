"""Hop database: where ApexFlow keeps leads and jobs."""

from http import HTTPStatus
from typing import Final

from runbook.diagnosis.check import Check, Finding, NotChecked, Ok
from runbook.diagnosis.checks.gateway import probe, probe_seen
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.service_state import down, is_known_to_have_ended

_LOOKED_UP: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NOT_FOUND})


def _is_looked_up(facts: Facts) -> Finding:
    """A 404 for the lead proves the database; a 500 alone does not prove that the database is the cause."""
    mine, seen = facts.target.apexflow, probe_seen(facts, probe(facts))
    if probe(facts).status in _LOOKED_UP:
        return Ok((seen,))
    if is_known_to_have_ended(facts, mine.database):
        return down(facts, mine.database, seen)
    return NotChecked(seen.saw, where=seen.source, fix=facts.log_command(mine.as_service))


CHECKS = (
    Check(
        code="DB_DOWN",
        hop="database",
        claim="ApexFlow reaches its database",
        diagnosis="ApexFlow's database does not run",
        sign="ApexFlow fails, and the database's state is exited",
        fix="{start}",
        needs=("GW_UPSTREAM",),
        run=_is_looked_up,
    ),
)
