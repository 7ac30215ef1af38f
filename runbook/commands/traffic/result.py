"""What `traffic` came to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.model import CommandResult, Ledger

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficResult(CommandResult):
    """`ledger` holds what the API answered."""

    ledger: Ledger | None = None

    def views(self) -> Iterator["RenderableType"]:
        """Yield the ledger."""
        from runbook.console.ledger import ledger_view

        if self.ledger is not None:
            yield ledger_view(self.ledger)
