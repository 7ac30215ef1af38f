"""The sink's counters together with its positions: the figures that make a difference exact.

The sink reports both from one snapshot (`crm_events_ingested_total`, `crm_events_rejected_total` and
`crm_events_next_offset`). Between two such snapshots the counters of a topic must have grown by exactly the messages
that Kafka holds between the two sets of positions, whoever produced them. Prometheus stores them from one scrape, so
the same holds for its samples.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isfinite

from runbook.errors import FOREIGN, RunbookError
from runbook.names import COUNTER
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Sample, Series
from runbook.systems.sink.client import SinkPage

POSITION = "crm_events_next_offset"
REJECTED = "crm_events_rejected_total"
STARTED = "process_start_time_seconds"
BUILD = "crm_events_sink_build_info"
ASSIGNMENTS = "crm_events_assignments_total"
TENANTS_LIMIT = "crm_events_tenants_limit"
_NAMES = f"{COUNTER}|{POSITION}|{REJECTED}|{STARTED}|{BUILD}|{ASSIGNMENTS}|{TENANTS_LIMIT}"

OVERFLOW_TENANT = "__overflow__"
"""The sink counts tenants above its limit together, under this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Events of one series counted so far."""

    topic: str
    tenant_id: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The next offset of one partition that is not counted yet."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Messages of one topic that are no events, so far."""

    topic: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Counters and positions of one moment. A sink that reports no positions, or no rejections, leaves them empty.

    `started_s` is when its process began (Unix time; None: not told); with the journal "sqlite" the counters go on
    where the process before had left them. `assignments` is how often its partitions were set: they may have changed
    and changed back between two scrapes (None: not told). `tenants_limit` is how many tenants may have series of their
    own (None: not told). `lost` are the offsets, by topic, that Kafka deleted before they were counted.
    """

    at: datetime
    counts: tuple[Count, ...]
    positions: tuple[Position, ...]
    rejected: tuple[Rejected, ...] = ()
    started_s: float | None = None
    journal: str = ""
    assignments: float | None = None
    tenants_limit: float | None = None
    lost: Mapping[str, float] = field(default_factory=dict)

    def count(self, topic: str, tenant_id: str) -> float:
        """Return the counter of a series; one that does not exist yet has counted nothing."""
        return sum(count.value for count in self.counts if (count.topic, count.tenant_id) == (topic, tenant_id))

    def value_of(self, count: Count) -> float:
        """Return what this snapshot holds of the series of a count."""
        return self.count(count.topic, count.tenant_id)

    def position(self, topic: str, partition: int) -> int | None:
        """Return the position in a partition; None where none was reported."""
        found = (place.offset for place in self.positions if (place.topic, place.partition) == (topic, partition))
        return max(found, default=None)

    def rejected_of(self, topic: str) -> float | None:
        """Return the rejected messages of a topic; None where the sink does not tell."""
        found = [one.value for one in self.rejected if one.topic == topic]
        return sum(found) if found else None

    def with_positions(self, known: Mapping[tuple[str, int], int]) -> "Snapshot":
        """Return the same with the positions of further partitions; those that it has stay."""
        more = tuple(
            Position(topic=topic, partition=partition, offset=offset)
            for (topic, partition), offset in sorted(known.items())
            if (topic, partition) not in self.partitions
        )
        return replace(self, positions=(*self.positions, *more))

    @property
    def tenants(self) -> frozenset[str]:
        """The tenants that have series of their own, in whichever topic."""
        return frozenset(one.tenant_id for one in self.counts) - {OVERFLOW_TENANT}

    @property
    def overflowing(self) -> frozenset[str]:
        """The topics in which further tenants count under OVERFLOW_TENANT: none while there are places left."""
        if self.tenants_limit is not None and len(self.tenants) < self.tenants_limit:
            return frozenset()
        return frozenset(one.topic for one in self.counts if one.tenant_id == OVERFLOW_TENANT)

    @property
    def series(self) -> frozenset[tuple[str, str]]:
        """The series of the counter, by topic and tenant."""
        return frozenset((one.topic, one.tenant_id) for one in self.counts)

    @property
    def at_zero(self) -> frozenset[tuple[str, str]]:
        """The series that have counted nothing yet."""
        return frozenset((one.topic, one.tenant_id) for one in self.counts if not one.value)

    @property
    def partitions(self) -> frozenset[tuple[str, int]]:
        """The partitions that the sink had then, by topic and number."""
        return frozenset((place.topic, place.partition) for place in self.positions)


def snapshot_of_page(page: SinkPage) -> Snapshot:
    """Return the snapshot that one page of the sink is."""
    return Snapshot(
        at=page.at,
        counts=tuple(Count(topic=t, tenant_id=n, value=v) for (n, t), v in sorted(page.counters.items())),
        positions=tuple(Position(topic=t, partition=p, offset=o) for (t, p), o in sorted(page.next_offsets.items())),
        rejected=_by_topic((topic, value) for (topic, _), value in page.rejected.items()),
        started_s=page.started_s,
        journal=page.journal,
        assignments=page.assignments,
        tenants_limit=page.tenants_limit,
        lost=dict(page.lost),
    )


def sampled_snapshot(prometheus: Prometheus, *, job: str, at: datetime | None = None) -> Snapshot | None:
    """Return the newest snapshot that Prometheus holds of the sink; None while it holds no sample of it.

    One query for all metrics: their samples then come from the same scrape.
    """
    query = _selector(f"{_NAMES}|up", job)
    samples = prometheus.query(query, at=at)
    with _reading(query):
        return _snapshot(max(sample.at for sample in samples), samples) if samples else None


def sampled_snapshots(
    prometheus: Prometheus, *, job: str, window_s: float, at: datetime | None = None
) -> Mapping[str, tuple[Snapshot, ...]]:
    """Return, by instance, a snapshot of each scrape of the last `window_s` seconds before `at`, oldest first.

    A label that was lost on the way is empty; a position without its labels is left out. Samples of one scrape have
    one timestamp; a scrape that shows no positions is a snapshot without any.
    """
    query = _selector(_NAMES, job)
    found = prometheus.samples(query, window_s=window_s, at=at)
    with _reading(query):
        return snapshots_of(found)


def seen_instances(prometheus: Prometheus, *, job: str, window_s: float) -> frozenset[str]:
    """Return the instances of the sink that were scraped within the last `window_s` seconds."""
    shown = f'{{__name__=~"{COUNTER}|{POSITION}", job="{job}"}}'
    query = f"group by (instance) (last_over_time({shown}[{max(1, round(window_s))}s]))"
    return frozenset(one.labels.get("instance", "") for one in prometheus.query(query))


def shown_by_target(prometheus: Prometheus, *, since: datetime) -> Mapping[tuple[str, str], Snapshot]:
    """Return, by job and instance, counts and positions of every target that was scraped since a time, of any job.

    A panel adds them all up, and what a rule has recorded under these names, which is of no instance. Prometheus shows
    a target that was removed for five minutes: hence the time.
    """
    query = " or ".join(f"timestamp({name}) >= {since.timestamp():.3f}" for name in (COUNTER, POSITION))
    targets = {_target_of(one) for one in prometheus.query(query)}
    query = f'{{__name__=~"{COUNTER}|{POSITION}"}}'
    shown = prometheus.query(query)
    targets |= {_target_of(one) for one in shown if not one.labels.get("instance")}
    samples = [one for one in shown if _target_of(one) in targets]
    with _reading(query):
        return {name: _snapshot(since, [one for one in samples if _target_of(one) == name]) for name in sorted(targets)}


def _target_of(sample: Sample) -> tuple[str, str]:
    return sample.labels.get("job", ""), sample.labels.get("instance", "")


def snapshots_of(series: Iterable[Series]) -> Mapping[str, tuple[Snapshot, ...]]:
    """Put raw samples together again as they were scraped: by instance and time."""
    scrapes: dict[str, dict[datetime, list[Sample]]] = {}
    for one in series:
        of_instance = scrapes.setdefault(one.labels.get("instance", ""), {})
        for at, value in one.samples:
            of_instance.setdefault(at, []).append(Sample(labels=one.labels, at=at, value=value))
    return {
        instance: tuple(_snapshot(at, samples) for at, samples in sorted(by_time.items()))
        for instance, by_time in sorted(scrapes.items())
    }


@contextmanager
def _reading(query: str) -> Iterator[None]:
    """Say in three parts what is wrong with samples of others."""
    try:
        yield
    except (*FOREIGN, KeyError) as error:
        raise RunbookError(
            f"The sink's samples in Prometheus have a wrong value: {error}",
            where=f"GET /api/v1/query {query}",
            fix="curl the sink's metrics page: its partitions and values must be whole numbers",
        ) from None


def _counted(sample: Sample) -> float:
    if not isfinite(sample.value):
        raise ValueError(f"{sample.value} is no number of events")
    return sample.value


def _selector(names: str, job: str) -> str:
    return f'{{__name__=~"{names}", job="{job}"}}'


def _snapshot(at: datetime, samples: Iterable[Sample]) -> Snapshot:
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.labels.get("__name__", ""), []).append(sample)
    return Snapshot(
        at=at,
        counts=tuple(
            Count(topic=one.labels.get("topic", ""), tenant_id=one.labels.get("tenant_id", ""), value=_counted(one))
            for one in by_name.get(COUNTER, ())
        ),
        positions=tuple(
            Position(topic=one.labels["topic"], partition=int(one.labels["partition"]), offset=int(one.value))
            for one in by_name.get(POSITION, ())
            if one.labels.keys() >= {"topic", "partition"}
        ),
        rejected=_by_topic((one.labels.get("topic", ""), _counted(one)) for one in by_name.get(REJECTED, ())),
        started_s=next((one.value for one in by_name.get(STARTED, ())), None),
        journal=next((one.labels.get("journal", "") for one in by_name.get(BUILD, ())), ""),
        assignments=next((one.value for one in by_name.get(ASSIGNMENTS, ())), None),
        tenants_limit=next((one.value for one in by_name.get(TENANTS_LIMIT, ())), None),
    )


def _by_topic(values: Iterable[tuple[str, float]]) -> tuple[Rejected, ...]:
    totals: dict[str, float] = {}
    for topic, value in values:
        totals[topic] = totals.get(topic, 0) + value
    return tuple(Rejected(topic=topic, value=value) for topic, value in sorted(totals.items()))
