"""What `logs` came to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.model import CommandResult, Line

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsResult(CommandResult):
    """The lines that were asked for."""

    lines: tuple[Line, ...] | None = None

    def views(self) -> Iterator["RenderableType"]:
        """Yield what is listed."""
        from runbook.commands.logs.view import lines_view

        if self.lines is not None:
            yield lines_view(self.lines)
