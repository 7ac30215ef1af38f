"""How lines of a log are shown."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from runbook.commands.logs.result import LogsResult
from runbook.console.views import line_view
from runbook.model import Line


def views(result: LogsResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    if result.lines is not None:
        yield lines_view(result.lines)


def lines_view(lines: Sequence[Line]) -> RenderableType:
    """Return the lines as they came."""
    return Group(*(line_view(line) for line in lines))
