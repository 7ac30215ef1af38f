"""Section: what many tenants cost: the time of a scrape, what scraping costs the counting, memory."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measuring.broker import broker
from benchmarks.measuring.load import TOPICS, Load, partitions_for, produced
from benchmarks.measuring.model import Outcome
from benchmarks.measuring.pages import Counts, differences
from benchmarks.measuring.piped import Run
from benchmarks.measuring.sink_process import SinkProcess
from benchmarks.measuring.sink_row import QUIET, SQLITE, SinkRow, Watcher

CAP: Final = 10_000  # tenants with series of their own: the sink's default
OVERFLOW: Final = "__overflow__"
SCRAPE_EVERY_S: Final = 0.5  # the field scrapes every 10 s: twenty times as often

_SINK: Final = SinkRow(name="sink", env=QUIET | SQLITE)
_IDLE_SCRAPES: Final = 20


class Scraper(Watcher):
    """Scrapes the sink as Prometheus does, and keeps the durations in milliseconds."""

    def __init__(self) -> None:
        self.busy_ms: list[float] = []  # while it counted
        self.idle_ms: list[float] = []  # after everything was counted
        self._next_at = 0.0

    def meanwhile(self, sink: SinkProcess) -> None:
        """Scrape if it is time to."""
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + SCRAPE_EVERY_S
            self.busy_ms.append(1e3 * sink.timed_scrape())

    def afterwards(self, sink: SinkProcess) -> None:
        """Scrape some more, one after the other."""
        self.idle_ms.extend(1e3 * sink.timed_scrape() for _ in range(_IDLE_SCRAPES))


class FloodScraper(Scraper):
    """The same when tenants beyond the cap are counted together."""

    def wrong(self, counts: Counts, load: Load) -> str:
        """Tenants with series of their own agree with the ledger one by one, all others as a sum."""
        own = {series: count for series, count in counts.ingested.items() if series[0] != OVERFLOW}
        if len(own) != CAP:
            return f"{len(own)} tenants have series of their own, the cap is {CAP}"
        if counts.total() != load.events or counts.next_offsets != load.ends:
            return f"{counts.total() - load.events:+d} events"
        return differences(own, {series: load.ledger.get(series, 0) for series in own})


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyTenants:
    """Runs with and without a scraper, side by side."""

    scraped: Sequence[Outcome]
    unscraped: Sequence[Outcome]
    busy_ms: Sequence[float]
    idle_ms: Sequence[float]

    @property
    def slowdown_percent(self) -> float | None:
        """Median over the rounds of what the scraper has cost."""
        pairs = zip(self.scraped, self.unscraped, strict=True)
        costs = [1 - a.events_per_s / b.events_per_s for a, b in pairs if a.events_per_s and b.events_per_s]
        return 100 * statistics.median(costs) if costs else None

    @property
    def failure(self) -> str:
        """Why a count was wrong, or nothing."""
        return next((o.failure for o in (*self.scraped, *self.unscraped) if o.failure), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """One run in which every event is another tenant's."""

    outcome: Outcome
    busy_ms: Sequence[float]
    idle_ms: Sequence[float]


def many_tenants(*, events: int, rounds: int, says: Callable[[str], None]) -> ManyTenants:
    """Count the events of as many tenants as have series, with and without a scraper in each round."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, scraper = Path(scratch), Scraper()
        scraped, unscraped = [], []
        with broker(folder, dict.fromkeys(TOPICS, partitions_for(events))) as bootstrap:
            load = produced(bootstrap, events=events, tenants=CAP)
            for number in range(1, rounds + 1):
                unscraped.append(_SINK.run(_run(load, folder / f"{number}-unscraped")))
                scraped.append(_SINK.run(_run(load, folder / f"{number}-scraped"), scraper))
                says(f"round {number}: {CAP:,} tenants: {len(scraper.busy_ms)} scrapes so far")
    return ManyTenants(scraped=scraped, unscraped=unscraped, busy_ms=scraper.busy_ms, idle_ms=scraper.idle_ms)


def flood(*, events: int) -> Flood:
    """Count events that each bring a tenant that was never seen."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, scraper = Path(scratch), FloodScraper()
        with broker(folder, dict.fromkeys(TOPICS, partitions_for(events))) as bootstrap:
            load = produced(bootstrap, events=events, tenants=events)
            outcome = _SINK.run(_run(load, folder / "flood"), scraper)
    return Flood(outcome=outcome, busy_ms=scraper.busy_ms, idle_ms=scraper.idle_ms)


def _run(load: Load, folder: Path) -> Run:
    folder.mkdir()
    return Run(load=load, folder=folder)
