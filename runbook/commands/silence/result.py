"""What `silence` and `unsilence` came to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runbook.model import CommandResult

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
