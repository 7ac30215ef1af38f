"""The sink's metrics of one sample each: name, type and meaning side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sink.exposition import Family

OVERFLOW_TENANT: Final = "__overflow__"

_DESCRIBED: Final = (
    ("assigned_partitions", "gauge", "Partitions this process reads."),
    ("last_progress_timestamp_seconds", "gauge", "Unix time when offsets last moved, or of the start."),
    ("log_lines_dropped_total", "counter", "Log lines not written because stdout was blocked or closed."),
    ("dead_letters_total", "counter", "Rejected messages acknowledged by the dead-letter topic."),
    ("tenants", "gauge", "Tenants that have series of their own."),
    ("tenants_overflowed", "gauge", f"Tenants counted together as {OVERFLOW_TENANT}; stops at SINK_MAX_TENANTS."),
    ("journal_up", "gauge", "1 if the journal takes entries, or if there is none."),
    ("journal_failures_total", "counter", "How often the journal has gone away."),
    ("journal_overtaken_total", "counter", "Batches let go because another member had counted of them."),
    ("journal_pruned_total", "counter", "Kept messages deleted because of their age or number."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What runs, as the labels of crm_events_sink_build_info."""

    version: str = ""
    librdkafka: str = ""
    journal: str = "none"
    keeps_rows: bool = False  # shown by the metric crm_events_persisted_total


class Gauges:
    """One value for each described name, without its `crm_events_`."""

    def __init__(self) -> None:
        self._values = {name: 0.0 for name, _, _ in _DESCRIBED}

    def set(self, name: str, value: float) -> None:
        """Set a value."""
        self._values[name] = value

    def add(self, name: str, value: float) -> None:
        """Add to a value; KeyError for a name that is not described."""
        self._values[name] += value

    def values(self) -> Mapping[str, float]:
        """Return all of them, as they are now."""
        return dict(self._values)


def gauge_families(values: Mapping[str, float]) -> list[Family]:
    """Return a family for each value."""
    return [
        Family(name=f"crm_events_{name}", kind=kind, meaning=meaning, samples=[("", values[name])])
        for name, kind, meaning in _DESCRIBED
    ]
