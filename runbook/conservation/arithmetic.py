"""The sums at each boundary, as decisions over facts: nothing is read here.

Counters and positions of one snapshot belong together, so between two snapshots of one process the messages that
Kafka holds must be those that were counted or rejected. Snapshots of different scrapes or instances are never mixed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import isclose

from runbook.conservation.boundary import Boundary, Flow, added
from runbook.conservation.snapshot import Snapshot
from runbook.model import Created
from runbook.systems.grafana.client import Frame
from runbook.systems.kafka.records import CrmEvent, Position
from runbook.systems.prometheus.records import Series

EXTRA = "not in Prometheus"

OVERFLOW_TENANT = "__overflow__"
"""The sink counts tenants above its limit together, under this name."""

KEEPS_TOTALS = "sqlite"
"""The journal from which a sink restores its counters."""

NO_RUN = "no lead and no job was created by a run of this tool"

REJECTED_TENANT = ""
"""Rejected messages have no tenant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Two snapshots of one process with the same partitions, between which no counter went back."""

    before: Snapshot
    after: Snapshot


def segments(snapshots: Sequence[Snapshot], *, is_alone: bool = True) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Return the longest segments of an instance's snapshots in order of time, and what lies between them.

    A snapshot without positions is never an end: the sink hides them while a new series is shown at 0. While a sink
    that is not alone in its group starts again, another one may have counted in its place.
    """
    usable = [one for one in snapshots if one.positions]
    runs: list[list[Snapshot]] = [[one] for one in usable[:1]]
    notes: list[str] = []
    for before, after in pairwise(usable):
        broken = _break(before, after, is_alone=is_alone)
        if broken:
            notes.append(f"between {before.at:%H:%M:%S} and {after.at:%H:%M:%S} UTC {broken}: not checked")
            runs.append([after])
        else:
            runs[-1].append(after)
    return tuple(Segment(before=run[0], after=run[-1]) for run in runs if len(run) > 1), tuple(notes)


def _break(before: Snapshot, after: Snapshot, *, is_alone: bool) -> str:
    if before.partitions != after.partitions or before.assignments != after.assignments:
        return "the sink's partitions changed"
    if any((after.position(one.topic, one.partition) or 0) < one.offset for one in before.positions):
        return "the sink went back to an earlier offset"
    is_another = None not in {before.started_s, after.started_s} and before.started_s != after.started_s
    if is_another and not (is_alone and after.journal == KEEPS_TOTALS):
        return "the sink was restarted"
    if any(after.value_of(one) < one.value for one in before.counts):
        return "the sink's counters began at 0"
    return ""


def trusted(snapshots: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    """Return the scrapes that show every series that the sink had then, given that the newest one does.

    A counter never vanishes while its process lives, and the sink shows a new one at 0 once. A scrape that lacks a
    series which is above 0 in the next one, or has one that is not in a later one, was changed on its way: by a
    relabelling rule, say. Nothing can be learned from it about the sink, nor from those of a process before it that
    has not handed its counters on.
    """
    kept = list(snapshots[-1:])
    for one, later in reversed(list(pairwise(snapshots))):
        if one.started_s != later.started_s and later.journal != KEEPS_TOTALS:
            break
        if one.series <= kept[0].series <= one.series | later.at_zero:
            kept.insert(0, one)
    return tuple(kept)


def passed(segment: Segment) -> Mapping[Position, tuple[int, int]]:
    """Return, by topic and partition, the offsets that were passed: from the first up to, not including, the second."""
    return {
        (one.topic, one.partition): (one.offset, segment.after.position(one.topic, one.partition) or one.offset)
        for one in segment.before.positions
    }


def kafka_to_sink(segment: Segment, events: Iterable[CrmEvent]) -> tuple[Flow, ...]:
    """Return what Kafka holds between the two positions against what was counted and rejected.

    `events` must hold every message that was passed; others are left out. Events of tenants that have no series of
    their own count as the overflow's where the sink has one.
    """
    between = passed(segment)
    before, after = segment.before, segment.after
    series = {(one.topic, one.tenant_id) for one in (*before.counts, *after.counts)}
    overflows = {topic for topic, tenant in series if tenant == OVERFLOW_TENANT}
    entered: Counter[tuple[str, str]] = Counter()
    for event in events:
        start, end = between.get((event.topic, event.partition), (0, 0))
        if start <= event.offset < end:
            key = (event.topic, REJECTED_TENANT if event.content.rejected else event.content.tenant_id)
            if event.topic in overflows and key not in series and not event.content.rejected:
                key = (event.topic, OVERFLOW_TENANT)
            entered[key] += 1
    left = {key: round(after.count(*key) - before.count(*key)) for key in series}
    for topic in {topic for topic, _ in between}:
        told = after.rejected_of(topic)
        if told is not None:
            left[topic, REJECTED_TENANT] = round(told - (before.rejected_of(topic) or 0))
        else:  # an older sink does not tell them: nothing can be claimed
            entered.pop((topic, REJECTED_TENANT), None)
    return _flows(entered, left)


def sink_to_prometheus(page: Snapshot, sampled: Snapshot, events: Iterable[CrmEvent]) -> tuple[Flow, ...]:
    """Return the page's counters, taken back to the position of the sample, against the sample's.

    `events` must hold what was passed between the two.
    """
    segment = Segment(before=sampled, after=page)
    since = {(flow.topic, flow.tenant_id): flow.entered for flow in kafka_to_sink(segment, events)}
    series = sorted({(one.topic, one.tenant_id) for one in (*page.counts, *sampled.counts)})
    return tuple(
        Flow(
            topic=topic,
            tenant_id=tenant,
            entered=round(page.count(topic, tenant)) - since.get((topic, tenant), 0),
            left=round(sampled.count(topic, tenant)),
        )
        for topic, tenant in series
    )


def unread(page: Snapshot, ends: Mapping[Position, int], events: Iterable[CrmEvent]) -> tuple[CrmEvent, ...]:
    """Return the messages before `ends` that the sink has not passed; partitions of other instances are left out."""
    return tuple(
        event
        for event in events
        if (position := page.position(event.topic, event.partition)) is not None
        and position <= event.offset < ends.get((event.topic, event.partition), 0)
    )


def api_to_kafka(created: Sequence[Created], events: Iterable[CrmEvent]) -> Boundary:
    """Return what the API created against its events: each must be there once, with its tenant and its type.

    What is there again is a flow of its own, so that it cannot stand for what is missing.
    """
    wanted = {(one.topic, one.tenant_id, one.id): one for one in created}
    found: dict[tuple[str, str, int], list[CrmEvent]] = {key: [] for key in wanted}
    for event in events:
        key = (event.topic, event.content.tenant_id, -1 if event.content.entity_id is None else event.content.entity_id)
        if key in found and event.content.event_type == f"{wanted[key].kind}.created":
            found[key].append(event)
    wrong = [(wanted[key], seen) for key, seen in found.items() if len(seen) != 1]
    once = [
        Flow(topic=topic, tenant_id=tenant, entered=1, left=min(1, len(seen)))
        for (topic, tenant, _), seen in found.items()
    ]
    again = [
        Flow(topic=topic, tenant_id=f"{tenant}, again", entered=0, left=len(seen) - 1)
        for (topic, tenant, _), seen in found.items()
        if len(seen) > 1
    ]
    return Boundary(
        name="API to Kafka",
        flows=added([*once, *again]),
        since=min((one.sent_at for one in created), default=None),
        until=max((one.answered_at for one in created), default=None),
        places=tuple(_place(one, seen) for one, seen in wrong),
        quiet="" if created else NO_RUN,
    )


def _place(created: Created, seen: Collection[CrmEvent]) -> str:
    offsets = ", ".join(f"{one.partition}@{one.offset}" for one in seen)
    return f"{created.kind} {created.id}" + (f" ({created.topic} {offsets})" if offsets else "")


def _flows(entered: Mapping[tuple[str, str], int], left: Mapping[tuple[str, str], int]) -> tuple[Flow, ...]:
    return tuple(
        Flow(topic=topic, tenant_id=tenant, entered=entered.get((topic, tenant), 0), left=left.get((topic, tenant), 0))
        for topic, tenant in sorted({*entered, *left})
    )


def prometheus_to_grafana(asked: Sequence[Series], shown: Sequence[Frame]) -> tuple[Flow, ...]:
    """Return the points of a query as Prometheus answers it against those that Grafana returns, per topic.

    A point that Grafana returns and Prometheus does not is a flow of its own, of the tenant EXTRA.
    """
    points = {_point(one.labels, at): value for one in asked for at, value in one.samples}
    returned = {
        _point(one.labels, at): value
        for one in shown
        for at, value in zip(one.times, one.values, strict=True)
        if value is not None
    }
    entered: Counter[tuple[str, str]] = Counter()
    left: Counter[tuple[str, str]] = Counter()
    for (labels, at), value in points.items():
        topic = dict(labels).get("topic", "")
        entered[topic, ""] += 1
        found = returned.pop((labels, at), None)
        left[topic, ""] += found is not None and isclose(found, value, rel_tol=1e-9, abs_tol=1e-12)
    for labels, _ in returned:
        left[dict(labels).get("topic", ""), EXTRA] += 1
    return _flows(entered, left)


def _point(labels: Mapping[str, str], at: datetime) -> tuple[tuple[tuple[str, str], ...], int]:
    plain = tuple(sorted((name, value) for name, value in labels.items() if name != "__name__"))
    return plain, round(at.timestamp() * 1000)
