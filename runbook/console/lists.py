"""The listings on a screen: parts of the stack, earlier runs, answered queries, silences, lines."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runbook.console.views import heading, quiet_table, word
from runbook.listings import Answer, Line, Listing, Part, Run, Silenced
from runbook.wording import moment, span, visible, visible_line


def listing_views(listing: Listing) -> Iterator[RenderableType]:
    """Yield a view of everything that the result lists."""
    if listing.parts is not None:
        yield parts_view(listing.parts)
    if listing.runs is not None:
        yield runs_view(listing.runs)
    if listing.answers is not None:
        yield from (answer_view(answer) for answer in listing.answers)
    if listing.silences is not None:
        yield silences_view(listing.silences)
    if listing.lines is not None:
        yield Group(*(line_view(line) for line in listing.lines))


def parts_view(parts: Sequence[Part]) -> RenderableType:
    """Return which program plays which part of the stack, and whether it is the real one."""
    if not parts:
        return Text("The local stack is not up.")
    whole = ("part", "", "state", "pid")
    table = _table("part", "", "state", "pid", "address, and what plays it there", whole=whole)
    for part in parts:
        kind = Text(part.kind, style="green" if part.kind == "real" else "yellow")
        state = Text("running", style="green") if part.running else Text("down", style="bold red")
        pid = "" if part.pid is None else str(part.pid)
        table.add_row(_text(part.name), kind, state, pid, _player(part))
    return table


def runs_view(runs: Sequence[Run]) -> RenderableType:
    """Return the runs so far; what is wrong with a record stands below. The year is in the run id."""
    if not runs:
        return Text("No runs so far.")
    table = _table("run", "task", "target", "outcome", "started (UTC)", "took", whole=("run", "started (UTC)", "took"))
    for run in runs:
        started = f"{run.started_at.astimezone(UTC):%m-%d %H:%M}" if run.started_at else ""
        took = "" if run.duration_s is None else span(run.duration_s)
        outcome = word(run.outcome or run.record)
        table.add_row(_text(run.run_id), _text(run.task), _text(run.target), outcome, started, took)
    notes = [Text(f"{visible_line(run.run_id)}: {visible(run.note)}", style="dim") for run in runs if run.note]
    return Group(table, *notes)


def answer_view(answer: Answer) -> RenderableType:
    """Return one query and its series, the greatest first."""
    query = Text(visible_line(answer.expr), style="dim")
    note = [Text(visible(answer.note), style="dim")] if answer.note else []
    if not answer.series:
        return Group(heading(answer.title), query, Text("no series"), *note)
    names = tuple(dict.fromkeys(name for series in answer.series for name in series.labels))
    table = _table(*names, answer.unit)
    table.columns[-1].justify = "right"
    for series in sorted(answer.series, key=lambda item: (math.isnan(item.value), -item.value)):
        table.add_row(*(_text(series.labels.get(name, "")) for name in names), _figure(series.value))
    return Group(heading(answer.title), query, table, *note)


def silences_view(silences: Sequence[Silenced]) -> RenderableType:
    """Return the silences made or ended: alert, until when, by whom, why, and the id that ends it."""
    if not silences:
        return Text("No silence.")
    return Group(*(_silence(item) for item in silences))


def line_view(line: Line) -> Text:
    """Return one line of a log as it came; a terminal's escape sequences are written out, not obeyed."""
    return Text(visible_line(line.text), no_wrap=True, overflow="ignore")


def _silence(item: Silenced) -> RenderableType:
    end = f"{'ended' if item.state == 'expired' else 'silenced until'} {moment(item.ends_at)}"
    return Group(
        Text.assemble((visible_line(item.alert), "bold"), f" {end} by {visible_line(item.author)}"),
        Text(f"  {visible(item.reason)}"),
        Text(f"  id {visible_line(item.id)}", style="dim"),
    )


def _player(part: Part) -> Text:
    plays = f"{part.plays}: {part.detail}" if part.detail else part.plays
    return Text.assemble(visible_line(part.address), "\n", (visible_line(plays), "dim"))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.3f}"


def _text(text: str) -> Text:
    return Text(visible_line(text))


def _table(*names: str, whole: tuple[str, ...] = ()) -> Table:
    """Return a table; the columns in `whole` are never broken, the others give way."""
    table = quiet_table()
    for name in names:
        table.add_column(_text(name), overflow="fold", no_wrap=name in whole)
    return table
