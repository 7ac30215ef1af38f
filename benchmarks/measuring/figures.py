"""Single figures beside their targets, from the sections that are no race."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.measuring.cardinality import CAP, SCRAPE_EVERY_S, Flood, ManyTenants
from benchmarks.measuring.latency import MOCK_WAIT_MS, Latency
from benchmarks.measuring.model import Judgement, Target

_P99: Final = Target(limit=15, at_least=False, unit=" ms")
_SCRAPE: Final = Target(limit=20, at_least=False, unit=" ms")
_SLOWDOWN: Final = Target(limit=10, at_least=False, unit=" %")
_FLOOD_SCRAPE: Final = Target(limit=250, at_least=False, unit=" ms")
_FLOOD_MEMORY: Final = Target(limit=200, at_least=False, unit=" MiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value beside its target, or without one."""

    what: str
    value: float | None
    unit: str
    target: Target | None = None
    failure: str = ""  # why the count it belongs to was wrong; empty: it was exact

    @property
    def judgement(self) -> Judgement | None:
        """How the value stands; beside a wrong count no value stands."""
        return None if self.target is None else self.target.judge(None if self.failure else self.value)


def of_latency(seen: Latency) -> list[Figure]:
    """Return percentiles; with the mock broker's own long wait in them they are no word about the sink."""
    judged = _P99 if seen.fetch_wait_ms < MOCK_WAIT_MS else None

    def figure(what: str, value: float | None, target: Target | None = None) -> Figure:
        name = f"journal {seen.situation}: {what}"
        return Figure(what=name, value=value, unit="ms", target=target, failure=seen.failure)

    return [
        figure("p50", seen.percentile(50)),
        figure("p99", seen.percentile(99), judged),
        figure("largest", _largest(seen.milliseconds)),
    ]


def of_many_tenants(seen: ManyTenants) -> list[Figure]:
    """Return what scrapes take, and cost, when every tenant has its series."""

    def figure(what: str, value: float | None, unit: str = "ms", target: Target | None = None) -> Figure:
        return Figure(what=f"{CAP:,} tenants: {what}", value=value, unit=unit, target=target, failure=seen.failure)

    return [
        figure("scrape, idle", _median(seen.idle_ms)),
        figure("scrape while counting", _median(seen.busy_ms), target=_SCRAPE),
        figure("largest such scrape", _largest(seen.busy_ms)),
        figure(f"slowdown, scraped every {SCRAPE_EVERY_S} s", seen.slowdown_percent, "%", _SLOWDOWN),
    ]


def of_flood(seen: Flood) -> list[Figure]:
    """Return what a flood of new tenants costs."""
    outcome = seen.outcome

    def figure(what: str, value: float | None, unit: str = "ms", target: Target | None = None) -> Figure:
        return Figure(what=f"flood: {what}", value=value, unit=unit, target=target, failure=outcome.failure)

    return [
        figure("events per second", outcome.events_per_s, "/s"),
        figure("scrape, idle", _median(seen.idle_ms)),
        figure("largest scrape while counting", _largest(seen.busy_ms), target=_FLOOD_SCRAPE),
        figure("peak memory", outcome.peak_rss_mib, "MiB", _FLOOD_MEMORY),
    ]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _largest(values: Sequence[float]) -> float | None:
    return max(values, default=None)
