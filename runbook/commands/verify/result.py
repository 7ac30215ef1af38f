"""What `verify` came to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.model import CommandResult, Criterion, Ledger

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult(CommandResult):
    """The five success criteria, and the ledger of one traffic run through every hop."""

    criteria: tuple[Criterion, ...] | None = None
    ledger: Ledger | None = None

    def views(self) -> Iterator["RenderableType"]:
        """Yield the criteria, then the ledger."""
        from runbook.commands.verify.view import proof_views

        yield from proof_views(self.criteria, self.ledger)
