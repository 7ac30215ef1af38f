"""What `metrics` came to."""

from dataclasses import dataclass
from datetime import datetime

from runbook.model import CommandResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesValue:
    """One series of an answer. `value` is a float as Prometheus gives it: NaN and infinities too."""

    labels: dict[str, str]
    at: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAnswer:
    """One query of the runbook and what Prometheus answered now; `unit` is that of the values."""

    title: str
    expr: str
    unit: str
    series: tuple[SeriesValue, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsResult(CommandResult):
    """Every query with its answer."""

    answers: tuple[QueryAnswer, ...] | None = None
