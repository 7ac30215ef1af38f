"""How `run` shows its result."""

from collections.abc import Iterator

from rich.console import RenderableType

from runbook.commands.run.result import RunResult
from runbook.commands.verify.view import proof_views


def views(result: RunResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    yield from proof_views(result.criteria, result.ledger)
