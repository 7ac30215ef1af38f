"""The sink's counters together with its positions: the two figures that make a delta exact.

The sink reports both from one snapshot (`crm_events_ingested_total` and `crm_events_next_offset`). Between two such
snapshots the counter of a series must have grown by exactly the number of events that Kafka holds between the two
sets of positions, whoever produced them. Prometheus stores both from one scrape, so the same holds for its samples.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from runbook.errors import FOREIGN, RunbookError
from runbook.names import COUNTER
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Sample
from runbook.systems.sink.client import SinkPage

POSITION = "crm_events_next_offset"


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
class Snapshot:
    """Counters and positions of one moment. A sink that reports no positions leaves them empty."""

    at: datetime
    counts: tuple[Count, ...]
    positions: tuple[Position, ...]

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


def snapshot_of_page(page: SinkPage) -> Snapshot:
    """Return the snapshot that one page of the sink is."""
    return Snapshot(
        at=page.at,
        counts=tuple(Count(topic=t, tenant_id=n, value=v) for (n, t), v in sorted(page.counters.items())),
        positions=tuple(Position(topic=t, partition=p, offset=o) for (t, p), o in sorted(page.next_offsets.items())),
    )


def sampled_snapshot(prometheus: Prometheus, *, job: str, at: datetime | None = None) -> Snapshot | None:
    """Return the newest snapshot that Prometheus holds of the sink; None while it holds no sample of it.

    One query for both metrics: their samples then come from the same scrape.
    """
    query = f'{{__name__=~"{COUNTER}|{POSITION}|up", job="{job}"}}'
    samples = prometheus.query(query, at=at)
    try:
        return _snapshot_of_samples(samples) if samples else None
    except (*FOREIGN, KeyError) as error:
        raise RunbookError(
            f"The sink's samples in Prometheus have a wrong value or lack a label: {error}",
            where=f"GET /api/v1/query {query}",
            fix="curl the sink's metrics page: its series need topic, tenant_id or partition, and whole numbers",
        ) from None


def _snapshot_of_samples(samples: tuple[Sample, ...]) -> Snapshot:
    return Snapshot(
        at=max(sample.at for sample in samples),
        counts=tuple(
            Count(topic=sample.labels["topic"], tenant_id=sample.labels["tenant_id"], value=_counted(sample))
            for sample in _named(samples, COUNTER)
        ),
        positions=tuple(
            Position(topic=sample.labels["topic"], partition=int(sample.labels["partition"]), offset=int(sample.value))
            for sample in _named(samples, POSITION)
        ),
    )


def _counted(sample: Sample) -> float:
    if not isfinite(sample.value):
        raise ValueError(f"{sample.value} is no number of events")
    return sample.value


def _named(samples: Iterable[Sample], name: str) -> Iterable[Sample]:
    return (sample for sample in samples if sample.labels.get("__name__") == name)
