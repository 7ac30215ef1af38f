"""The tables of the benchmark, at most 100 columns wide. A row that failed or could not run says so, and why."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.measuring.figures import Figure
from benchmarks.measuring.model import Judgement, Target
from benchmarks.measuring.throughput import Standing

WIDTH: Final = 100
_STYLES: Final = {
    Judgement.MET: "green",
    Judgement.MISSED: "yellow",
    Judgement.MISSED_WIDELY: "bold red",
    Judgement.NOT_MEASURED: "yellow",
}


def throughput_table(standings: Sequence[Standing]) -> RenderableType:
    """Show every row of the race, its reasons below; CPU time is per event, memory the largest seen."""
    table = _table("Throughput", "contestant", ("events/s", "x kcat", "CPU us", "MiB"))
    for row in standings:
        table.add_row(
            row.name,
            _number(row.events_per_s, ",.0f"),
            _number(row.ratio, ".2f"),
            _number(row.cpu_us_per_event, ".2f"),
            _number(row.peak_rss_mib, ".0f"),
            Text("not available", style="yellow") if row.not_available else _count(row.failure),
            _judged(row.target, row.judgement),
        )
    return Group(table, *_notes((row.name, row.not_available or row.failure) for row in standings))


def figures_table(title: str, figures: Sequence[Figure]) -> RenderableType:
    """Show single figures, the reasons of wrong counts below."""
    table = _table(title, "figure", ("measured",))
    for figure in figures:
        measured = f"{_number(figure.value, ',.1f')} {figure.unit}"
        table.add_row(figure.what, measured, _count(figure.failure), _judged(figure.target, figure.judgement))
    return Group(table, *_notes((figure.what, figure.failure) for figure in figures))


def _table(title: str, first: str, numbers: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right")
    table.add_column("count")
    table.add_column("target")
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _count(failure: str) -> Text:
    return Text("FAILED", style="bold red") if failure else Text("exact")


def _judged(target: Target | None, judgement: Judgement | None) -> Text:
    return Text("") if judgement is None else Text(f"{target} {judgement}", style=_STYLES[judgement])


def _notes(reasons: Iterable[tuple[str, str]]) -> list[Text]:
    return [Text(f"{name}: {reason}") for name, reason in reasons if reason]
