"""What `setup` came to."""

from dataclasses import dataclass

from runbook.model import CommandResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupResult(CommandResult):
    """`diff` is the plan as a unified diff; empty if nothing is to be written, None if there was no plan."""

    diff: str | None = None
