"""The ledger: every created entity followed through every hop, and the sums closed. Pure decisions over facts."""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbook.conservation.segments import passed, segments
from runbook.conservation.snapshot import Position, Snapshot
from runbook.model import Created, EntityKind, HopSight, LedgerSum
from runbook.systems.grafana.client import Frame
from runbook.systems.kafka.records import CrmEvent
from runbook.systems.runtime import LogLine

_EVENT_TYPES: dict[EntityKind, str] = {"lead": "lead.created", "job": "job.created"}
_RECEIVED = re.compile(r"^\[(?P<at>[^\]]+)\] Received (?P<type>\S+) for tenant (?P<tenant>.*)$")
CLOCK_TOLERANCE = timedelta(seconds=2)
_NO_TIME = datetime.min.replace(tzinfo=UTC) + CLOCK_TOLERANCE

Key = tuple[str, int]
"""Topic and id: what names one entity and its event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSums:
    """The sums of one counter, and what keeps some of them from being closed."""

    sums: tuple[LedgerSum, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether every sum was read and closes."""
        return all(one.outcome == "ok" for one in self.sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One of the sink's lines `[TIME] Received TYPE for tenant TENANT`; its time is UTC without an offset."""

    at: datetime
    event_type: str
    tenant_id: str
    text: str


def received_lines(lines: Iterable[LogLine]) -> tuple[Received, ...]:
    """Return the lines that tell of an event; others are not the ledger's."""
    return tuple(received for line in lines if (received := _received(line.text)))


def _received(text: str) -> Received | None:
    match = _RECEIVED.match(text)
    if not match:
        return None
    try:
        at = datetime.fromisoformat(match["at"])
    except ValueError:
        return None
    utc = at if at.tzinfo else at.replace(tzinfo=UTC)
    return Received(at=utc, event_type=match["type"], tenant_id=match["tenant"], text=text)


def events_of(created: Sequence[Created], events: Iterable[CrmEvent]) -> dict[Key, CrmEvent]:
    """Return the event of each entity, by topic and id; an entity without one is missing."""
    wanted = {(entity.topic, entity.id): entity for entity in created}
    found: dict[Key, CrmEvent] = {}
    for event in events:
        key = _key(event)
        if key in wanted and _names_its_tenant(event, wanted[key]):
            found.setdefault(key, event)
    return found


def api_sight(entity: Created) -> HopSight:
    """Return what the API answered for one entity."""
    return HopSight(hop="api", outcome="ok", saw=f"HTTP {entity.status} id={entity.id}", at=entity.answered_at)


def kafka_sight(event: CrmEvent | None) -> HopSight:
    """Return where the event lies in Kafka, and the broker's time for it."""
    if event is None:
        return HopSight(hop="kafka", outcome="failed", saw="no event with this id between the offsets of the run")
    return HopSight(hop="kafka", outcome="ok", saw=f"{event.topic}/{event.partition}@{event.offset}", at=event.at)


def log_sights(events: Iterable[CrmEvent], lines: Sequence[Received]) -> dict[Key, HopSight]:
    """Return the sink's line for each event: per type and tenant, the next line not older than the event.

    The line names no id, so each line is given to one event only, both in the order of time. Events of others belong
    among `events`: else one of their lines would stand for an event of ours that the sink never told of.
    """
    free: defaultdict[tuple[str, str], deque[Received]] = defaultdict(deque)
    for line in sorted(lines, key=lambda line: line.at):
        free[line.event_type, line.tenant_id].append(line)
    return {_key(event): _log_sight(event, free[_told(event)]) for event in sorted(events, key=produced_at)}


def _log_sight(event: CrmEvent, free: deque[Received]) -> HopSight:
    """Take the next line that is not older than the event; older ones are nobody's, as later events are younger."""
    while free and free[0].at < produced_at(event) - CLOCK_TOLERANCE:
        free.popleft()
    if not free:
        event_type, tenant = _told(event)
        return HopSight(hop="sink log", outcome="failed", saw=f"no line 'Received {event_type} for tenant {tenant}'")
    line = free.popleft()
    return HopSight(hop="sink log", outcome="ok", saw=line.text, at=line.at)


def _told(event: CrmEvent) -> tuple[str, str]:
    return event.content.event_type, event.content.tenant_id


def run_sums(
    created: Sequence[Created], events: Iterable[CrmEvent], chains: Sequence[Sequence[Snapshot]], *, source: str
) -> RunSums:
    """Return one sum per series of this run: ours + others in Kafka, against what the counters grew by.

    Each chain holds the snapshots of one instance, from before the run to now. Where a chain breaks (the counters began
    at 0, partitions moved), what was passed between its two ends is neither counted nor lost: a series of which one of
    ours lies there is not checked. One of ours that was not passed at all is missing in the delta.
    """
    cut = [segments(chain, is_alone=len(chains) == 1) for chain in chains]
    found = [segment for segments_, _ in cut for segment in segments_]
    ranges = [passed(segment) for segment in found]
    latest = _latest(chains)
    keys = {(entity.topic, entity.id) for entity in created}
    ours: Counter[tuple[str, str]] = Counter()
    others: Counter[tuple[str, str]] = Counter()
    unseen: set[tuple[str, str]] = set()
    for event in events:
        place, series = (event.topic, event.partition), (event.topic, event.content.tenant_id)
        is_ours = _key(event) in keys
        if any(start <= event.offset < end for start, end in (one.get(place, (0, 0)) for one in ranges)):
            (ours if is_ours else others)[series] += 1
        elif is_ours and event.offset >= latest.get(place, event.offset + 1):
            ours[series] += 1
        elif is_ours:
            unseen.add(series)
    deltas = {
        series: round(sum(one.after.count(*series) - one.before.count(*series) for one in found))
        for series in series_of(created)
    }
    return RunSums(
        sums=tuple(
            LedgerSum(
                source=source,
                topic=topic,
                tenant_id=tenant,
                ours=ours[topic, tenant],
                others=None if (topic, tenant) in unseen or not found else others[topic, tenant],
                delta=delta if found else None,
            )
            for (topic, tenant), delta in deltas.items()
        ),
        notes=tuple(note for _, notes in cut for note in notes),
    )


def _latest(chains: Iterable[Sequence[Snapshot]]) -> dict[tuple[str, int], int]:
    """Return, by topic and partition, the newest position of any instance."""
    latest: dict[tuple[str, int], int] = {}
    for chain in chains:
        last = next((one for one in reversed(chain) if one.positions), None)
        for place in last.positions if last else ():
            key = (place.topic, place.partition)
            latest[key] = max(place.offset, latest.get(key, 0))
    return latest


def sums_without_positions(
    created: Sequence[Created],
    events: Iterable[CrmEvent],
    *,
    source: str,
    before: Snapshot,
    after: Snapshot,
    end_offsets: Sequence[Position],
) -> tuple[LedgerSum, ...]:
    """Return the weaker sums of a sink that reports no positions, such as the one in the field today.

    Everything from the end offsets before the run on is expected to be counted. The counter can have counted more than
    is known here (events that lay between the two readings), so a delta above the sum tells nothing: `others` is None.
    """
    keys = {(entity.topic, entity.id) for entity in created}
    starts = {(place.topic, place.partition): place.offset for place in end_offsets}
    counted = [one for one in events if one.offset >= starts.get((one.topic, one.partition), 0)]
    ours = Counter((one.topic, one.content.tenant_id) for one in counted if _key(one) in keys)
    others = Counter((one.topic, one.content.tenant_id) for one in counted if _key(one) not in keys)
    deltas = {series: round(after.count(*series) - before.count(*series)) for series in series_of(created)}
    return tuple(
        LedgerSum(
            source=source,
            topic=topic,
            tenant_id=tenant,
            ours=ours[topic, tenant],
            others=None if delta > ours[topic, tenant] + others[topic, tenant] else others[topic, tenant],
            delta=delta,
        )
        for (topic, tenant), delta in deltas.items()
    )


def unread_sums(source: str, created: Sequence[Created]) -> tuple[LedgerSum, ...]:
    """Return the sums of a run whose counters or events could not be read."""
    size = Counter((entity.topic, entity.tenant_id) for entity in created)
    return tuple(
        LedgerSum(source=source, topic=topic, tenant_id=tenant, ours=size[topic, tenant], others=None, delta=None)
        for topic, tenant in series_of(created)
    )


def series_of(created: Iterable[Created]) -> tuple[tuple[str, str], ...]:
    """Return the series (topic, tenant) that this run adds to."""
    return tuple(sorted({(entity.topic, entity.tenant_id) for entity in created}))


def counter_sight(hop: str, event: CrmEvent | None, closed: Sequence[LedgerSum], *, at: datetime | None) -> HopSight:
    """Return whether the counter of the event's series accounts for it: its sum closes, or it does not."""
    if event is None:
        return HopSight(hop=hop, outcome="not_checked", saw="its event was not found in Kafka")
    tenant = event.content.tenant_id
    total = next((one for one in closed if (one.topic, one.tenant_id) == (event.topic, tenant)), None)
    if total is None or total.outcome == "not_checked":
        return HopSight(hop=hop, outcome="not_checked", saw="the counter or its baseline could not be read")
    saw = f"{total.ours} ours + {total.others} others, counted {total.delta}"
    return HopSight(hop=hop, outcome=total.outcome, saw=saw, at=at if total.outcome == "ok" else None)


def panel_sight(event: CrmEvent | None, frames: Sequence[Frame] | None, sampled: HopSight) -> HopSight:
    """Return the first moment at which the panel's own query shows the event's topic above zero.

    What it showed before Prometheus had `sampled` the event, it owes to others.
    """
    if event is None or frames is None:
        return HopSight(hop="panel", outcome="not_checked", saw="the panel's query or the event could not be read")
    point = first_point(frames, event.topic, since=sampled.at or produced_at(event) - CLOCK_TOLERANCE)
    if point:
        at, value = point  # by Grafana's clock, which may be behind the broker's
        return HopSight(
            hop="panel", outcome="ok", saw=f"{event.topic} {value:.4g}/s", at=max(at, event.at) if event.at else at
        )
    blind = "ingested, panel blind (series born above zero)" if sampled.outcome == "ok" else "no point above zero"
    return HopSight(hop="panel", outcome="failed", saw=f"{event.topic}: {blind}")


def first_point(frames: Sequence[Frame], topic: str, *, since: datetime) -> tuple[datetime, float] | None:
    """Return time and value of the first point above zero of a topic's line since a time."""
    points = (
        (at, value)
        for frame in frames
        if frame.labels.get("topic") == topic
        for at, value in zip(frame.times, frame.values, strict=True)
        if value and at >= since
    )
    return min(points, default=None)


def produced_at(event: CrmEvent) -> datetime:
    """The broker's time for an event; one without a time is as old as can be."""
    return event.at or _NO_TIME


def _key(event: CrmEvent) -> Key:
    return event.topic, -1 if event.content.entity_id is None else event.content.entity_id


def _names_its_tenant(event: CrmEvent, entity: Created) -> bool:
    return _told(event) == (_EVENT_TYPES[entity.kind], entity.tenant_id)
