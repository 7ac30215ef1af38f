"""What `traffic` came to."""

from dataclasses import dataclass

from runbook.model import CommandResult, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficResult(CommandResult):
    """`ledger` holds what the API answered."""

    ledger: Ledger | None = None
