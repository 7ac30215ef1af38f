"""How verify shows what it proved: the success criteria, and the ledger."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runbook.commands.verify.result import VerifyResult
from runbook.console.ledger import ledger_view
from runbook.console.views import evidence_lines, heading, word
from runbook.model import Criterion, Ledger
from runbook.wording import visible


def views(result: VerifyResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    yield from proof_views(result.criteria, result.ledger)


def proof_views(criteria: tuple[Criterion, ...] | None, ledger: Ledger | None) -> Iterator[RenderableType]:
    """Yield the criteria, then the ledger; what there is none of is left out."""
    if criteria is not None:
        yield criteria_view(criteria)
    if ledger is not None:
        yield ledger_view(ledger)


def criteria_view(criteria: tuple[Criterion, ...]) -> RenderableType:
    """Return the success criteria, each with its evidence."""
    met = sum(item.outcome == "ok" for item in criteria)
    grid = _grid()
    for item in criteria:
        claim = Group(Text(visible(item.claim)), *evidence_lines(item.evidence))
        grid.add_row(str(item.number), word(item.outcome), claim)
    return Group(heading(f"Success criteria: {met} of {len(criteria)} met"), grid)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", width=3, no_wrap=True)
    grid.add_column(width=11, no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    return grid
