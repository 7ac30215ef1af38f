"""How lines of a log are shown."""

from collections.abc import Sequence

from rich.console import Group, RenderableType

from runbook.console.views import line_view
from runbook.model import Line


def lines_view(lines: Sequence[Line]) -> RenderableType:
    """Return the lines as they came."""
    return Group(*(line_view(line) for line in lines))
