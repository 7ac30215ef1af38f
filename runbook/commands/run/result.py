"""What `run` came to."""

from dataclasses import dataclass

from runbook.model import CommandResult, Criterion, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(CommandResult):
    """What setup planned, and what verify proved; None where the run did not come to that."""

    diff: str | None = None
    criteria: tuple[Criterion, ...] | None = None
    ledger: Ledger | None = None
