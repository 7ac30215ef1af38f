"""What the listing tasks show beside a result: parts of the stack, earlier runs, answered queries, silences, lines."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal, Self

from runbook.model import TaskResult

PartKind = Literal["real", "stand-in"]
RunOutcome = Literal["finished", "unfinished", "broken"]
SilenceState = Literal["pending", "active", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the local stack: `plays` says by what it is played, `detail` what differs, or why it does not run."""

    name: str
    plays: str
    kind: PartKind
    running: bool
    pid: int | None
    address: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
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
class Series:
    """One series of an answer. `value` is a float as Prometheus gives it: NaN and infinities too."""

    labels: dict[str, str]
    at: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One query of the runbook and what Prometheus answered now; `unit` is that of the values."""

    title: str
    expr: str
    unit: str
    series: tuple[Series, ...]
    note: str = ""


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
class Line:
    """One line of a service's output; `at` is None where the runtime does not say when it came."""

    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(TaskResult):
    """A result that lists something. What a task does not list stays None; an empty list was looked for."""

    parts: tuple[Part, ...] | None = None
    runs: tuple[Run, ...] | None = None
    answers: tuple[Answer, ...] | None = None
    silences: tuple[Silenced, ...] | None = None
    lines: tuple[Line, ...] | None = None

    @classmethod
    def of(
        cls,
        result: TaskResult,
        *,
        parts: tuple[Part, ...] | None = None,
        runs: tuple[Run, ...] | None = None,
        answers: tuple[Answer, ...] | None = None,
        silences: tuple[Silenced, ...] | None = None,
        lines: tuple[Line, ...] | None = None,
    ) -> Self:
        """Return the same result with what it lists."""
        base = {field.name: getattr(result, field.name) for field in fields(TaskResult)}
        return cls(**base, parts=parts, runs=runs, answers=answers, silences=silences, lines=lines)
