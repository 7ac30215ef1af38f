"""What `verify` came to."""

from dataclasses import dataclass

from runbook.model import CommandResult, Criterion, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult(CommandResult):
    """The five success criteria, and the ledger of one traffic run through every hop."""

    criteria: tuple[Criterion, ...] | None = None
    ledger: Ledger | None = None
