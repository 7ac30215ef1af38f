"""What the sink has counted, and the page /metrics.

Counters and offsets change together, under one lock, and a page is a snapshot of all of them: between two pages the
counters have grown by exactly the messages between their offsets. A check of the sink can rely on that sum.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sink.decoding import RejectReason
from sink.exposition import Family, Format, Histogram, labels, page_text
from sink.journal.model import Partition, Totals
from sink.unlabelled_metrics import OVERFLOW_TENANT, BuildInfo, UnlabelledMetrics, unlabelled_families

_LATENCY_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1, 5)
_BATCH_BOUNDS: Final = (1, 2, 5, 10, 50, 100, 500, 1000, 5000)


@dataclass(slots=True)
class Series:
    """A time series of a counter: its escaped labels and its value. It is new until a scrape has shown it at 0."""

    labels: str
    value: int = 0
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """The text of /metrics, and the new series that it shows at 0."""

    body: bytes
    new_series: tuple[Series, ...]


class Metrics:
    """All that the sink counts. The poll loop writes it, the HTTP threads read it.

    *A new series starts at 0.* Prometheus computes rate() and increase() from two samples of a series: one that first
    appears with the value 5 has a rate of 0. So a scrape shows a new series at 0, and the next one shows its value. At
    the start only topics are known, not tenants, so a tenant's first events reach Prometheus one scrape late. A scrape
    is recognised by a header that Prometheus sends; all other requests see the true values and change nothing. One
    limit: with two Prometheus servers only one of them may get the 0.

    *Offsets match counters.* A scrape that shows a 0 instead of a value shows no `crm_events_next_offset` at all, and
    Prometheus marks the offsets stale until the next scrape. So wherever there are offsets, the counters match them.

    *Totals never decrease.* The totals of a journal are restored before the first page. Prometheus has seen such a
    series before the start, so it shows its value at once: a 0 would be a counter reset, and the total would be
    counted again.
    """

    def __init__(
        self,
        *,
        topics: Iterable[str],
        max_tenants: int,
        dropped_lines: Callable[[], int],
        build: BuildInfo | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._max_tenants = max_tenants
        self._dropped_lines = dropped_lines
        self._build = build or BuildInfo()
        self._ingested: dict[tuple[str, str], Series] = {}
        self._rejected = {(t, str(r)): Series(labels(topic=t, reason=r)) for t in topics for r in RejectReason}
        self._lost = {topic: Series(labels(topic=topic)) for topic in topics}
        self._new_series = [*self._rejected.values(), *self._lost.values()]  # a restore may make some not new
        self._next_offsets: dict[Partition, int] = {}
        self._end_offsets: Mapping[Partition, int] = {}
        self._tenants: set[str] = set()
        self._overflowed: set[str] = set()
        self._latency, self._batch_sizes = Histogram(_LATENCY_BOUNDS_S), Histogram(_BATCH_BOUNDS)
        self._unlabelled = UnlabelledMetrics()
        self._unlabelled.set("last_progress_timestamp_seconds", time.time())
        self._unlabelled.set("journal_up", 1)

    def restore(self, totals: Totals) -> None:
        """Continue from the totals of a journal that only this process writes."""
        with self._lock:
            for (tenant_id, topic), count in totals.ingested.items():
                series = self._tenant_series(tenant_id, topic)
                series.value, series.is_new = series.value + count, False
            for (topic, reason), count in totals.rejected.items():
                series = self._rejected.setdefault((topic, reason), Series(labels(topic=topic, reason=reason)))
                series.value, series.is_new = count, False

    def set_assignment(
        self, assigned: int, next_offsets: Mapping[Partition, int], lost: Mapping[str, int] | None = None
    ) -> None:
        """Replace the assignment: the number of partitions, and the next offsets to count as far as they are known.

        `lost` is the number of offsets by topic that Kafka deleted before they were counted.
        """
        with self._lock:
            for topic, count in (lost or {}).items():
                self._lost[topic].value += count
            self._unlabelled.set("assigned_partitions", assigned)
            self._unlabelled.add("assignments_total", 1)
            self._next_offsets = dict(next_offsets)

    def count_batch(
        self,
        *,
        ingested: Mapping[tuple[str, str], int],
        rejected: Mapping[tuple[str, RejectReason], int],
        next_offsets: Mapping[Partition, int],
        latency_s: float = 0.0,
    ) -> None:
        """Count a batch and advance the offsets, in one step.

        `ingested` is by tenant and topic, `rejected` by topic and reason; `latency_s` is the time since the fetch.
        """
        messages = sum(ingested.values()) + sum(rejected.values())
        with self._lock:
            for (tenant_id, topic), count in ingested.items():
                self._tenant_series(tenant_id, topic).value += count
            for key, count in rejected.items():
                self._rejected[key].value += count
            self._next_offsets.update(next_offsets)
            self._latency.observe(latency_s, messages)
            self._batch_sizes.observe(messages)
            self._unlabelled.set("last_progress_timestamp_seconds", time.time())

    def set_end_offsets(self, end_offsets: Mapping[Partition, int]) -> None:
        """Note the end offsets in Kafka, for the lag."""
        self._end_offsets = end_offsets

    def add(self, name: str, count: int = 1) -> None:
        """Add to one of the `UnlabelledMetrics`."""
        with self._lock:
            self._unlabelled.add(name, count)

    def set_journal_up(self, *, up: bool) -> None:
        """Note whether the journal is available."""
        with self._lock:
            self._unlabelled.set("journal_up", up)

    def next_offsets(self) -> dict[Partition, int]:
        """Return the offset of the next message to count, for each assigned partition."""
        with self._lock:
            return dict(self._next_offsets)

    def page(self, *, is_scrape: bool, page_format: Format = Format.PROMETHEUS) -> MetricsPage:
        """Return the page; a scrape sees new series at 0."""
        with self._lock:
            new_series = tuple([series for series in self._new_series if series.is_new]) if is_scrape else ()
            at_zero = set(map(id, new_series))
            offsets = self._offsets(self._matching_offsets(new_series))
            families = [*self._counters(at_zero), *offsets, *self._other_families()]
        return MetricsPage(body=page_text(families, page_format), new_series=new_series)

    def mark_served(self, page: MetricsPage) -> None:
        """Note that a client has got this page: its new series are not new any more."""
        with self._lock:
            for series in page.new_series:
                series.is_new = False
            self._new_series = [series for series in self._new_series if series.is_new]

    def _matching_offsets(self, at_zero: Iterable[Series]) -> dict[Partition, int]:
        """Return the offsets that match a page which shows these series at 0: none if one of them has a value."""
        return {} if any(series.value for series in at_zero) else dict(self._next_offsets)

    def _tenant_series(self, tenant_id: str, topic: str) -> Series:
        """Find or create a tenant's series; tenants beyond the limit share one, so that sums stay exact."""
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
            self._new_series.append(series)
        return series

    def _counters(self, at_zero: set[int]) -> list[Family]:
        def samples(series: Iterable[Series]) -> list[tuple[str, float]]:
            if not at_zero:
                return [(s.labels, s.value) for s in series]
            return [(s.labels, 0 if id(s) in at_zero else s.value) for s in series]

        def counter(name: str, help_text: str, samples: list[tuple[str, float]]) -> Family:
            return Family(name=name, kind="counter", help_text=help_text, samples=samples, is_integer=True)

        ingested, rejected, lost = (samples(s.values()) for s in (self._ingested, self._rejected, self._lost))
        families = [
            counter("crm_events_ingested_total", "CRM domain events consumed by the sink.", ingested),
            counter("crm_events_rejected_total", "Messages that are not events, by reason.", rejected),
            counter("crm_events_lost_total", "Offsets that Kafka deleted before they were counted.", lost),
        ]
        if self._build.stores_messages:
            families.append(counter("crm_events_persisted_total", "Events stored in the journal.", ingested))
        return families

    def _offsets(self, next_offsets: Mapping[Partition, int]) -> list[Family]:
        ends = self._end_offsets
        lag = {p: max(0, ends[p] - n) for p, n in sorted(self._next_offsets.items()) if p in ends}
        return [
            _by_partition("next_offset", "The offset of the next message to count, by partition.", next_offsets),
            _by_partition("lag", "Messages in Kafka that are not counted yet, as of the last second.", lag),
        ]

    def _other_families(self) -> list[Family]:
        build = labels(version=self._build.version, librdkafka=self._build.librdkafka, journal=self._build.journal)
        self._unlabelled.set("log_lines_dropped_total", self._dropped_lines())
        self._unlabelled.set("tenants", len(self._tenants))
        self._unlabelled.set("tenants_limit", self._max_tenants)
        self._unlabelled.set("tenants_overflowed", len(self._overflowed))
        return [
            Family(name="crm_events_sink_build_info", kind="gauge", help_text="What runs.", samples=[(build, 1)]),
            Family(
                name="crm_events_count_latency_seconds",
                kind="histogram",
                help_text="From fetching a message to counting it, the journal included.",
                samples=self._latency.samples(),
            ),
            Family(
                name="crm_events_batch_messages",
                kind="histogram",
                help_text="Messages counted together.",
                samples=self._batch_sizes.samples(),
            ),
            *unlabelled_families(self._unlabelled.values()),
        ]


def _by_partition(name: str, help_text: str, values: Mapping[Partition, int]) -> Family:
    samples = [(labels(topic=t, partition=str(n)), float(value)) for (t, n), value in sorted(values.items())]
    return Family(name=f"crm_events_{name}", kind="gauge", help_text=help_text, samples=samples)
