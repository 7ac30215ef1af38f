"""What `silence` and `unsilence` came to."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from runbook.model import CommandResult

if TYPE_CHECKING:
    from rich.console import RenderableType

SilenceState = Literal["pending", "active", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silenced:
    """One silence of an alert, made or ended."""

    id: str
    alert: str
    author: str
    reason: str
    state: SilenceState
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceResult(CommandResult):
    """The silences that were made or ended."""

    silences: tuple[Silenced, ...] | None = None

    def views(self) -> Iterator["RenderableType"]:
        """Yield what is listed."""
        from runbook.commands.silence.view import silences_view

        if self.silences is not None:
            yield silences_view(self.silences)
