"""What `rollback` came to."""

from dataclasses import dataclass

from runbook.model import CommandResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackResult(CommandResult):
    """`diff` is the plan as a unified diff; empty if nothing is to be put back, None if there was no plan."""

    diff: str | None = None
