"""Planned files replaced: kept first, written both or none, and put back."""

from collections.abc import Sequence
from pathlib import Path

from runbook.documents.plan import Plan
from runbook.documents.writing import write_document
from runbook.errors import DocumentError, RunbookError
from runbook.model import Evidence
from runbook.record import Record, digest
from runbook.steps.frame import Done

REPLACES = "replaces"
"""Kind of the event that is recorded before a file is written, so that also a crash leaves its trace."""


def kept(record: Record, plans: Sequence[Plan]) -> Done[None]:
    """Keep the bytes of every file as they are now."""
    evidence = tuple(
        Evidence(source=plan.source, saw=f"kept as {record.back_up(Path(plan.source), plan.before)}") for plan in plans
    )
    return Done(value=None, outcome="ok", reason=f"{len(plans)} files kept in the record", evidence=evidence)


def replaced(record: Record, plans: Sequence[Plan]) -> Done[None]:
    """Write every file, or none: when one fails, those before it get their old bytes back. Raises RunbookError."""
    done: list[Plan] = []
    try:
        for plan in plans:
            change = {"file": plan.source, "before": digest(plan.before), "after": digest(plan.after)}
            record.append(REPLACES, change)
            write_document(Path(plan.source), plan.before, plan.after)
            done.append(plan)
    except RunbookError:
        put_back(done)
        raise
    if not done:
        return Done(value=None, outcome="unchanged", reason="the files are as wished already")
    return Done(value=None, outcome="changed", reason="; ".join(plan.reason for plan in done))


def put_back(plans: Sequence[Plan]) -> Done[None]:
    """Give every file its old bytes, the last one first. Raises DocumentError naming all that could not be."""
    failed: list[RunbookError] = []
    for plan in reversed(plans):
        try:
            write_document(Path(plan.source), plan.after, plan.before)
        except RunbookError as error:
            failed.append(error)
    if failed:
        raise DocumentError(
            f"The old bytes could not be put back: {'; '.join(error.seen for error in failed)}",
            where=", ".join(error.where for error in failed),
            fix="put the copies of the record's folder backups/ in their place by hand",
        )
    return Done(value=None, outcome="rolled_back", reason=f"{len(plans)} files are as before")
