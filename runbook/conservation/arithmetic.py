"""The sums at each boundary, as decisions over facts: nothing is read here.

Between two snapshots of one process the messages that Kafka holds must be those that were counted or rejected.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from runbook.conservation.boundary import Boundary, Flow, added, flows
from runbook.conservation.segments import Segment, passed
from runbook.conservation.snapshot import OVERFLOW_TENANT, Snapshot
from runbook.model import Created
from runbook.systems.kafka.records import CrmEvent, Position

NO_RUN = "no lead and no job was created by a run of this tool"

REJECTED_TENANT = ""
"""Rejected messages have no tenant."""


def kafka_to_sink(segment: Segment, events: Iterable[CrmEvent]) -> tuple[Flow, ...]:
    """Return what Kafka holds between the two positions against what was counted and rejected.

    `events` must hold every message that was passed; others are left out. Events of tenants above the sink's limit
    count as the overflow's.
    """
    between = passed(segment)
    before, after = segment.before, segment.after
    series = {(one.topic, one.tenant_id) for one in (*before.counts, *after.counts)}
    own, overflowing = after.tenants, after.overflowing
    entered: Counter[tuple[str, str]] = Counter()
    for event in events:
        start, end = between.get((event.topic, event.partition), (0, 0))
        if start <= event.offset < end:
            key = (event.topic, REJECTED_TENANT if event.content.rejected else event.content.tenant_id)
            if event.topic in overflowing and not event.content.rejected and key[1] not in own:
                key = (event.topic, OVERFLOW_TENANT)
            entered[key] += 1
    left = {key: round(after.count(*key) - before.count(*key)) for key in series}
    for topic in {topic for topic, _ in between}:
        told = after.rejected_of(topic)
        if told is not None:
            left[topic, REJECTED_TENANT] = round(told - (before.rejected_of(topic) or 0))
        else:  # an older sink does not tell them: nothing can be claimed
            entered.pop((topic, REJECTED_TENANT), None)
    return flows(entered, left)


def counted_from_zero(old: Snapshot, new: Snapshot, surely: Iterable[CrmEvent]) -> tuple[Flow, ...]:
    """Return what a process that began at 0 must have counted, from the positions of the one before it to its own.

    It may have counted more, which came before the other one ended: so only what is missing differs.
    """
    segment = Segment(before=replace(old, counts=(), rejected=()), after=new)
    return tuple(replace(flow, entered=max(flow.entered, flow.left)) for flow in kafka_to_sink(segment, surely))


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


def within(first: Snapshot, scrape: Snapshot, second: Snapshot) -> tuple[Flow, ...]:
    """Return a scrape against the pages that were read before and after it: each counter must lie between theirs.

    It needs no positions. What entered is the nearest value that is possible.
    """
    series = sorted({(one.topic, one.tenant_id) for one in (*first.counts, *scrape.counts)})
    found = []
    for topic, tenant in series:
        left, lowest = round(scrape.count(topic, tenant)), round(first.count(topic, tenant))
        highest = max(lowest, round(second.count(topic, tenant)))
        found.append(Flow(topic=topic, tenant_id=tenant, entered=min(max(left, lowest), highest), left=left))
    return tuple(found)


def born(scrapes: Sequence[Snapshot], page: Snapshot) -> frozenset[tuple[str, str]]:
    """Return the series that the newest scrape shows at 0 for the first time, while the page has counted more."""
    before = scrapes[-2].series if len(scrapes) > 1 else frozenset()
    return frozenset(one for one in scrapes[-1].at_zero if page.count(*one) and one not in before)


def without_positions(
    before: Snapshot, after: Snapshot, *, surely: Iterable[CrmEvent], maybe: Iterable[CrmEvent]
) -> tuple[Flow, ...]:
    """Return the weaker sums of a sink that shows no positions, such as the one in the field today.

    It must have counted all of `surely`, and may have counted those of `maybe`: they came near one of the two moments.
    What entered is the nearest value that is possible.
    """
    lowest, more = (_per_series(events) for events in (surely, maybe))
    series = sorted({*lowest, *more, *after.series, *before.series})
    found = []
    for topic, tenant in series:
        left = round(after.count(topic, tenant) - before.count(topic, tenant))
        least = lowest[topic, tenant]
        entered = min(max(left, least), least + more[topic, tenant])
        found.append(Flow(topic=topic, tenant_id=tenant, entered=entered, left=left))
    return tuple(found)


def _per_series(events: Iterable[CrmEvent]) -> Counter[tuple[str, str]]:
    return Counter((one.topic, one.content.tenant_id) for one in events if not one.content.rejected)


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

    An id that the API answered twice needs two events. What is there again is a flow of its own, so that it cannot
    stand for what is missing.
    """
    wanted = {(one.topic, one.tenant_id, one.id): one for one in created}
    asked = Counter((one.topic, one.tenant_id, one.id) for one in created)
    found: dict[tuple[str, str, int], list[CrmEvent]] = {key: [] for key in wanted}
    for event in events:
        key = (event.topic, event.content.tenant_id, -1 if event.content.entity_id is None else event.content.entity_id)
        if key in found and event.content.event_type == f"{wanted[key].kind}.created":
            found[key].append(event)
    wrong = [(wanted[key], seen) for key, seen in found.items() if len(seen) != asked[key]]
    once = [
        Flow(topic=key[0], tenant_id=key[1], entered=asked[key], left=min(asked[key], len(seen)))
        for key, seen in found.items()
    ]
    again = [
        Flow(topic=key[0], tenant_id=f"{key[1]}, again", entered=0, left=len(seen) - asked[key])
        for key, seen in found.items()
        if len(seen) > asked[key]
    ]
    return Boundary(
        name="API to Kafka",
        flows=added([*once, *again]),
        since=min((one.sent_at for one in created), default=None),
        until=max((one.answered_at for one in created), default=None),
        places=tuple(_place(one, seen) for one, seen in wrong),
        quiet="" if created else NO_RUN,
    )


def grown(created: Iterable[Created], before: Snapshot, after: Snapshot) -> tuple[Flow, ...]:
    """Return what was created against what the counters grew by since before: they may have grown by more."""
    asked = Counter((one.topic, one.tenant_id) for one in created)
    return tuple(
        Flow(
            topic=key[0],
            tenant_id=key[1],
            entered=number,
            left=min(number, round(after.count(*key) - before.count(*key))),
        )
        for key, number in sorted(asked.items())
    )


def _place(created: Created, seen: Collection[CrmEvent]) -> str:
    offsets = ", ".join(f"{one.partition}@{one.offset}" for one in seen)
    return f"{created.kind} {created.id}" + (f" ({created.topic} {offsets})" if offsets else "")
