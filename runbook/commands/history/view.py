"""How the runs so far are shown."""

from collections.abc import Iterator, Sequence
from datetime import UTC

from rich.console import Group, RenderableType
from rich.text import Text

from runbook.commands.history.result import HistoryResult, PastRun
from runbook.console.views import cell, named_table, word
from runbook.invocation import inv
from runbook.wording import span, visible, visible_line


def views(result: HistoryResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    if result.runs is not None:
        yield runs_view(result.runs, older=result.older or 0)


def runs_view(runs: Sequence[PastRun], *, older: int) -> RenderableType:
    """Return the newest runs, and how many are older; what is wrong with one stands below. The id holds the year."""
    if not runs:
        return Text("No runs so far.")
    table = named_table(
        "run", "task", "target", "outcome", "started (UTC)", "took", whole=("run", "started (UTC)", "took")
    )
    for run in runs:
        started = f"{run.started_at.astimezone(UTC):%m-%d %H:%M}" if run.started_at else ""
        took = "" if run.duration_s is None else span(run.duration_s)
        outcome = word(run.outcome or run.record)
        table.add_row(cell(run.run_id), cell(run.task), cell(run.target), outcome, started, took)
    notes = [Text(f"{visible_line(run.run_id)}: {visible(run.note)}", style="dim") for run in runs if run.note]
    rest = [Text(f"{older} older {'run' if older == 1 else 'runs'}: {inv('history --all')}")] if older else []
    return Group(table, *rest, *notes)
