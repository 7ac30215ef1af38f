"""How `traffic` shows its result."""

from collections.abc import Iterator

from rich.console import RenderableType

from runbook.commands.traffic.result import TrafficResult
from runbook.console.ledger import ledger_view


def views(result: TrafficResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    if result.ledger is not None and result.ledger.rows:
        yield ledger_view(result.ledger)
