"""What the commands of the local stack came to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.model import CommandResult, ServiceStatus

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class StackResult(CommandResult):
    """The services of the stack; None where they are not listed."""

    parts: tuple[ServiceStatus, ...] | None = None

    def views(self) -> Iterator["RenderableType"]:
        """Yield what is listed."""
        from runbook.commands.stack.view import services_view

        if self.parts is not None:
            yield services_view(self.parts)
