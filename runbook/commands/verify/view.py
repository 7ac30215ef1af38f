"""How verify shows what it proved: the success criteria, and the ledger."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runbook.commands.verify.result import JudgedBoundary, VerifyResult
from runbook.console.ledger import ledger_view
from runbook.console.views import cell, evidence_lines, heading, indented, quiet_table, word
from runbook.model import Criterion, Ledger
from runbook.wording import visible, visible_line


def views(result: VerifyResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    yield from proof_views(result.criteria, result.ledger)
    if result.boundaries is not None:
        yield boundaries_view(result.boundaries)


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


def boundaries_view(boundaries: tuple[JudgedBoundary, ...]) -> RenderableType:
    """Return the boundaries of the flow, each with what entered and left it per topic and tenant."""
    parts: list[RenderableType] = [heading("Boundaries of the flow: what entered each has left it")]
    for one in boundaries:
        outcome = word(one.outcome if one.is_exercised or one.outcome != "ok" else "not_exercised")
        within = f" from {one.since:%H:%M:%S} to {one.until:%H:%M:%S} UTC" if one.since and one.until else ""
        parts.append(Text.assemble(f"{visible_line(one.name)}{within}: ", outcome, f", {visible(one.reason)}"))
        if one.flows:
            parts.append(indented(_flows(one)))
        parts.extend(indented(Text(visible(note), style="dim")) for note in one.notes)
    return Group(*parts)


def _flows(boundary: JudgedBoundary) -> Table:
    table = quiet_table()
    table.add_column("topic", overflow="fold")
    table.add_column("tenant", overflow="fold")
    for name in ("in", "out", "differs"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in boundary.flows:
        differs = Text(f"{one.left - one.entered:+d}" if one.left != one.entered else "", style="bold red")
        table.add_row(cell(one.topic), cell(one.tenant_id), str(one.entered), str(one.left), differs)
    return table


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", width=3, no_wrap=True)
    grid.add_column(width=11, no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    return grid
