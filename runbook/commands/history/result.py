"""What `history` came to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runbook.model import CommandResult

RunOutcome = Literal["finished", "unfinished", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One earlier run. `record` says what its record is worth, `note` why it is not "finished"."""

    run_id: str
    record: RunOutcome
    task: str = ""
    target: str = ""
    outcome: str = ""
    started_at: datetime | None = None
    duration_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryResult(CommandResult):
    """The runs, newest first; `older` counts those that are not listed."""

    runs: tuple[PastRun, ...] | None = None
    older: int | None = None
