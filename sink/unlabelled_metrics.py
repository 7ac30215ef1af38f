"""The metrics without labels: name, type and help text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sink.exposition import Family

OVERFLOW_TENANT: Final = "__overflow__"

_METRICS: Final = (
    ("assigned_partitions", "gauge", "Partitions this process reads."),
    ("assignments_total", "counter", "How often these partitions, or the places to read them from, were set."),
    ("last_progress_timestamp_seconds", "gauge", "Unix time when offsets last moved, or of the start."),
    ("log_lines_dropped_total", "counter", "Log lines not written because stdout was blocked or closed."),
    ("dead_letters_total", "counter", "Rejected messages acknowledged by the dead-letter topic."),
    ("tenants", "gauge", "Tenants that have series of their own."),
    ("tenants_limit", "gauge", "Tenants that may have series of their own: SINK_MAX_TENANTS."),
    ("tenants_overflowed", "gauge", f"Tenants counted together as {OVERFLOW_TENANT}; stops at the limit."),
    ("journal_up", "gauge", "1 if the journal is available, or if there is none."),
    ("journal_failures_total", "counter", "How often the journal became unavailable."),
    ("journal_overtaken_total", "counter", "Batches not counted because another member had counted events of them."),
    ("journal_pruned_total", "counter", "Stored messages deleted because of their age or number."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInfo:
    """The labels of crm_events_sink_build_info."""

    version: str = ""
    librdkafka: str = ""
    journal: str = "none"
    stores_messages: bool = False  # then there is crm_events_persisted_total


class UnlabelledMetrics:
    """One value for each name, without its `crm_events_`."""

    def __init__(self) -> None:
        self._values = {name: 0.0 for name, _, _ in _METRICS}

    def set(self, name: str, value: float) -> None:
        """Set a value."""
        self._values[name] = value

    def add(self, name: str, value: float) -> None:
        """Add to a value. Raises KeyError for an unknown name."""
        self._values[name] += value

    def values(self) -> Mapping[str, float]:
        """Return a copy of all values."""
        return dict(self._values)


def unlabelled_families(values: Mapping[str, float]) -> list[Family]:
    """Return a family for each value."""
    return [
        Family(name=f"crm_events_{name}", kind=kind, help_text=help_text, samples=[("", values[name])])
        for name, kind, help_text in _METRICS
    ]
