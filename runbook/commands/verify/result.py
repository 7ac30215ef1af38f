"""What `verify` came to."""

from dataclasses import dataclass
from datetime import datetime

from runbook.conservation.boundary import Boundary
from runbook.model import CommandResult, Criterion, Ledger, Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFlow:
    """What entered and what left one boundary, of one topic and tenant."""

    topic: str
    tenant_id: str
    entered: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBoundary:
    """One boundary of the flow, judged by real traffic: `is_exercised` is False where nothing crossed it.

    `reason` says in one line what was seen, or why it was not checked.
    """

    name: str
    outcome: Sight
    is_exercised: bool
    reason: str
    since: datetime | None = None
    until: datetime | None = None
    flows: tuple[JudgedFlow, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult(CommandResult):
    """The five success criteria, and the ledger of one traffic run through every hop, or the boundaries of the flow."""

    criteria: tuple[Criterion, ...] | None = None
    ledger: Ledger | None = None
    boundaries: tuple[JudgedBoundary, ...] | None = None


def judged_boundary(found: Boundary) -> JudgedBoundary:
    """Return a boundary as it is told."""
    reason = found.told() if found.is_exercised else found.quiet or "nothing crossed it"
    return JudgedBoundary(
        name=found.name,
        outcome=found.outcome,
        is_exercised=found.is_exercised,
        reason=f"{reason}; {found.why}" if found.why and found.is_exercised else found.why or reason,
        since=found.since,
        until=found.until,
        flows=tuple(
            JudgedFlow(topic=one.topic, tenant_id=one.tenant_id, entered=one.entered, left=one.left)
            for one in found.flows
            if one.entered or one.left
        ),
        notes=found.notes,
    )
