"""What `run` came to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.model import CommandResult, Criterion, Ledger

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(CommandResult):
    """What setup planned, and what verify proved; None where the run did not come to that."""

    diff: str | None = None
    criteria: tuple[Criterion, ...] | None = None
    ledger: Ledger | None = None

    def views(self) -> Iterator["RenderableType"]:
        """Yield what was proven."""
        from runbook.commands.verify.view import proof_views

        yield from proof_views(self.criteria, self.ledger)
