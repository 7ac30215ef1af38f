"""One check per boundary of the flow: what entered it has left it. It names no cause, only where, and how many."""

from collections.abc import Callable

from runbook.conservation.boundary import Boundary
from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.runtime import Service


def boundary_check(
    code: str,
    hop: str,
    boundary: Callable[[Facts], Boundary],
    *,
    between: str,
    sign: str,
    log_of: Callable[[Facts], Service],
    needs: tuple[str, ...],
) -> Check[Facts]:
    """Return the check of one boundary; a code that knows the cause comes before it, and blocks it by `needs`."""

    def look(facts: Facts) -> Finding:
        found = boundary(facts)
        seen = boundary_seen(found)
        if found.outcome == "failed":
            return broken(*seen, told=found.told(), log=facts.log_command(log_of(facts)), since=_since(found))
        if found.why:
            return NotChecked(found.why, where=found.name, fix=f"{inv('troubleshoot')} again after two more scrapes")
        return Ok(seen, is_exercised=found.is_exercised)

    return Check(
        code=code,
        hop=hop,
        claim=f"Nothing is lost or doubled between {between}",
        diagnosis=f"Something is lost or doubled between {between}, and no check knows why: {{told}}",
        sign=sign,
        fix="{log}: its lines{since}",
        needs=needs,
        told="after_flow",
        run=look,
    )


def boundary_seen(found: Boundary) -> tuple[Evidence, ...]:
    """Return the integers of a boundary, topic by topic, with the times of the samples."""
    within = f" from {found.since:%H:%M:%S} to {found.until:%H:%M:%S} UTC" if found.since and found.until else ""
    flows = tuple(
        saw(
            f"{found.name}, {flow.topic} {flow.tenant_id or 'of no tenant'}{within}",
            f"{flow.entered} in, {flow.left} out",
        )
        for flow in found.flows
        if flow.entered or flow.left
    )
    notes = tuple(saw(found.name, note) for note in found.notes)
    return (*flows, *notes) or (saw(f"{found.name}{within}", found.quiet or "nothing crossed it"),)


def _since(found: Boundary) -> str:
    return f" since {found.since:%Y-%m-%d %H:%M:%S} UTC" if found.since else ""
