"""What the sink has counted, and the page that shows it.

Counters and offsets change together, under one lock, and a page is one look at all of them: between two pages the
counters have grown by exactly the messages between their offsets. Whoever checks the sink can rely on that sum.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sink.decoding import Reason
from sink.exposition import Family, Format, Histogram, labels, page_text
from sink.gauges import OVERFLOW_TENANT, Build, Gauges, gauge_families
from sink.journal.model import Partition, Totals

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1, 5)
_SIZES: Final = (1, 2, 5, 10, 50, 100, 500, 1000, 5000)


@dataclass(slots=True)
class Series:
    """One counter: its escaped labels, its value, and whether a scrape has seen it at 0."""

    labels: str
    value: int = 0
    born: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """A page, and the series that it shows at 0 for the first time."""

    body: bytes
    newborn: tuple[Series, ...]


class Metrics:
    """All that the sink counts. The consumer writes, the HTTP threads read.

    *Zero first.* Prometheus computes rate() and increase() from two samples of a series: one that first appears with
    the value 5 has a rate of 0. So a new series shows 0 in one scrape, and its value from the next one on. Only topics
    are known at start, not tenants, hence a tenant's first events reach Prometheus one scrape late. A scrape is known
    by a header that Prometheus sends; everybody else sees true values and changes nothing. One limit: with two
    Prometheus servers the zero may go to one of them only.

    *Positions belong to counters.* A scrape that shows a 0 in place of a value shows no `crm_events_next_offset` at
    all, so Prometheus marks the positions stale until the next scrape: wherever they are, the counters match them.

    *Never back.* Totals of a journal are restored before the first page. Such a series was there before the start, so
    it shows its value at once: a 0 would be a reset to Prometheus, and the total would be counted again.
    """

    def __init__(
        self,
        *,
        topics: Iterable[str],
        max_tenants: int,
        dropped_lines: Callable[[], int],
        build: Build | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._max_tenants = max_tenants
        self._dropped_lines = dropped_lines
        self._build = build or Build()
        self._ingested: dict[tuple[str, str], Series] = {}
        self._rejected = {(t, str(r)): Series(labels(topic=t, reason=r)) for t in topics for r in Reason}
        self._lost = {topic: Series(labels(topic=topic)) for topic in topics}
        self._unborn = [*self._rejected.values(), *self._lost.values()]  # some may have been born by a restore
        self._next_offsets: dict[Partition, int] = {}
        self._ends: Mapping[Partition, int] = {}
        self._tenants: set[str] = set()
        self._overflowed: set[str] = set()
        self._latency, self._batch_sizes = Histogram(_SECONDS), Histogram(_SIZES)
        self._gauges = Gauges()
        self._gauges.set("last_progress_timestamp_seconds", time.time())
        self._gauges.set("journal_up", 1)

    def restore(self, totals: Totals) -> None:
        """Go on from the totals of a journal that this process alone writes."""
        with self._lock:
            for (tenant_id, topic), count in totals.ingested.items():
                series = self._tenant_series(tenant_id, topic)
                series.value, series.born = series.value + count, True
            for (topic, reason), count in totals.rejected.items():
                series = self._rejected.setdefault((topic, reason), Series(labels(topic=topic, reason=reason)))
                series.value, series.born = count, True

    def assign(
        self, assigned: int, next_offsets: Mapping[Partition, int], lost: Mapping[str, int] | None = None
    ) -> None:
        """Replace the assignment: how many partitions, and where those start whose position is known.

        `lost` is by topic how many offsets lie between there and where counting had come to: Kafka deleted them.
        """
        with self._lock:
            for topic, count in (lost or {}).items():
                self._lost[topic].value += count
            self._gauges.set("assigned_partitions", assigned)
            self._next_offsets = dict(next_offsets)

    def record(
        self,
        *,
        ingested: Mapping[tuple[str, str], int],
        rejected: Mapping[tuple[str, Reason], int],
        next_offsets: Mapping[Partition, int],
        took_s: float = 0.0,
    ) -> None:
        """Count a batch and move the offsets past it, in one step.

        `ingested` is keyed by tenant and topic, `rejected` by topic and reason; `took_s` is since they were fetched.
        """
        messages = sum(ingested.values()) + sum(rejected.values())
        with self._lock:
            for (tenant_id, topic), count in ingested.items():
                self._tenant_series(tenant_id, topic).value += count
            for key, count in rejected.items():
                self._rejected[key].value += count
            self._next_offsets.update(next_offsets)
            self._latency.observe(took_s, messages)
            self._batch_sizes.observe(messages)
            self._gauges.set("last_progress_timestamp_seconds", time.time())

    def ends(self, ends: Mapping[Partition, int]) -> None:
        """Note the end offsets that Kafka has told, for the lag."""
        self._ends = ends

    def add(self, name: str, count: int = 1) -> None:
        """Add to one of the counters of `Gauges`."""
        with self._lock:
            self._gauges.add(name, count)

    def journal_up(self, *, up: bool) -> None:
        """Note whether the journal takes entries."""
        with self._lock:
            self._gauges.set("journal_up", up)

    def next_offsets(self) -> dict[Partition, int]:
        """Return for each assigned partition the offset of the next message to count."""
        with self._lock:
            return dict(self._next_offsets)

    def page(self, *, scrape: bool, page_format: Format = Format.PROMETHEUS) -> MetricsPage:
        """Show everything, a scrape's newborn series at 0."""
        with self._lock:
            newborn = tuple([series for series in self._unborn if not series.born]) if scrape else ()
            hidden = set(map(id, newborn))
            families = [*self._counters(hidden), *self._positions(self._offsets_beside(newborn)), *self._others()]
        return MetricsPage(body=page_text(families, page_format), newborn=newborn)

    def served(self, page: MetricsPage) -> None:
        """Let the series that this page has shown at 0 show their values from now on."""
        with self._lock:
            for series in page.newborn:
                series.born = True
            self._unborn = [series for series in self._unborn if not series.born]

    def _offsets_beside(self, newborn: Iterable[Series]) -> dict[Partition, int]:
        """Return the positions that match a page which shows these series at 0: none if that hides a value."""
        return {} if any(series.value for series in newborn) else dict(self._next_offsets)

    def _tenant_series(self, tenant_id: str, topic: str) -> Series:
        """Find or make a tenant's counter; tenants beyond the cap share one, so that sums stay exact."""
        series = self._ingested.get((tenant_id, topic))
        if series is not None:
            return series
        if tenant_id not in self._tenants and len(self._tenants) >= self._max_tenants:
            if len(self._overflowed) < self._max_tenants:
                self._overflowed.add(tenant_id)
            tenant_id = OVERFLOW_TENANT
        else:
            self._tenants.add(tenant_id)
        series = self._ingested.get((tenant_id, topic))
        if series is None:
            series = self._ingested[tenant_id, topic] = Series(labels(tenant_id=tenant_id, topic=topic))
            self._unborn.append(series)
        return series

    def _counters(self, hidden: set[int]) -> list[Family]:
        def shown(series: Iterable[Series]) -> list[tuple[str, float]]:
            if not hidden:
                return [(s.labels, s.value) for s in series]
            return [(s.labels, 0 if id(s) in hidden else s.value) for s in series]

        def counter(name: str, meaning: str, samples: list[tuple[str, float]]) -> Family:
            return Family(name=name, kind="counter", meaning=meaning, samples=samples, is_whole=True)

        ingested, rejected, lost = (shown(s.values()) for s in (self._ingested, self._rejected, self._lost))
        families = [
            counter("crm_events_ingested_total", "CRM domain events consumed by the sink.", ingested),
            counter("crm_events_rejected_total", "Messages that are not events, by reason.", rejected),
            counter("crm_events_lost_total", "Offsets that Kafka deleted before they were counted.", lost),
        ]
        if self._build.keeps_rows:
            families.append(counter("crm_events_persisted_total", "Events kept in the journal.", ingested))
        return families

    def _positions(self, next_offsets: Mapping[Partition, int]) -> list[Family]:
        lag = {p: max(0, self._ends[p] - n) for p, n in sorted(self._next_offsets.items()) if p in self._ends}
        return [
            _by_partition("next_offset", "The offset of the next message to count, by partition.", next_offsets),
            _by_partition("lag", "Messages in Kafka that are not counted yet, as of the last second.", lag),
        ]

    def _others(self) -> list[Family]:
        build = labels(version=self._build.version, librdkafka=self._build.librdkafka, journal=self._build.journal)
        self._gauges.set("log_lines_dropped_total", self._dropped_lines())
        self._gauges.set("tenants", len(self._tenants))
        self._gauges.set("tenants_overflowed", len(self._overflowed))
        return [
            Family(name="crm_events_sink_build_info", kind="gauge", meaning="What runs.", samples=[(build, 1)]),
            Family(
                name="crm_events_count_latency_seconds",
                kind="histogram",
                meaning="From fetching a message to counting it, the journal included.",
                samples=self._latency.samples(),
            ),
            Family(
                name="crm_events_batch_messages",
                kind="histogram",
                meaning="Messages counted together.",
                samples=self._batch_sizes.samples(),
            ),
            *gauge_families(self._gauges.values()),
        ]


def _by_partition(name: str, meaning: str, values: Mapping[Partition, int]) -> Family:
    samples = [(labels(topic=t, partition=str(n)), float(value)) for (t, n), value in sorted(values.items())]
    return Family(name=f"crm_events_{name}", kind="gauge", meaning=meaning, samples=samples)
