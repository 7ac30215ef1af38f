"""How answered queries are shown."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from runbook.commands.metrics.result import MetricsResult, QueryAnswer
from runbook.console.views import cell, heading, named_table
from runbook.wording import visible, visible_line


def views(result: MetricsResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    if result.answers is not None:
        yield answers_view(result.answers)


def answers_view(answers: Sequence[QueryAnswer]) -> RenderableType:
    """Return every query with its series, one after the other."""
    return Group(*(part for answer in answers for part in (_answer(answer), "")))


def _answer(answer: QueryAnswer) -> RenderableType:
    """Return one query and its series, the greatest first."""
    query = Text(visible_line(answer.expr), style="dim")
    note = [Text(visible(answer.note), style="dim")] if answer.note else []
    if not answer.series:
        return Group(heading(answer.title), query, Text("no series"), *note)
    names = tuple(dict.fromkeys(name for series in answer.series for name in series.labels))
    table = named_table(*names, answer.unit)
    table.columns[-1].justify = "right"
    for series in sorted(answer.series, key=lambda item: (math.isnan(item.value), -item.value)):
        table.add_row(*(cell(series.labels.get(name, "")) for name in names), _figure(series.value))
    return Group(heading(answer.title), query, table, *note)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.3f}"
