"""The ledger: every created entity followed through every hop, and the sums closed. Pure decisions over facts."""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbook.commands.traffic.counter_snapshot import Position, Snapshot
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
    """Return type and tenant of an event as the sink's line tells them."""
    value = event.value or {}
    return str(value.get("event_type")), str(value.get("tenant_id"))


def sums(
    created: Sequence[Created],
    events: Iterable[CrmEvent],
    *,
    source: str,
    before: Snapshot,
    after: Snapshot,
    end_offsets: Sequence[Position],
) -> tuple[LedgerSum, ...]:
    """Return one sum per series of this run: ours + others in Kafka, against the delta of the counter.

    `end_offsets` are those before the run: a partition for which `before` holds no position is counted from there, one
    for which `after` holds none, to its last event. Then the counter can have counted more than is known here (events
    that lay between the two readings), and a delta above the sum tells nothing: `others` is None.
    """
    ours: Counter[tuple[str, str]] = Counter()
    others: Counter[tuple[str, str]] = Counter()
    vague: set[tuple[str, str]] = set()
    keys = {(entity.topic, entity.id) for entity in created}
    starts = {(place.topic, place.partition): place.offset for place in end_offsets}
    for event in events:
        place, series = (event.topic, event.partition), (event.topic, _told(event)[1])
        start, end = before.position(*place), after.position(*place)
        if start is None or end is None:
            vague.add(series)
        if event.offset >= (starts.get(place, 0) if start is None else start) and (end is None or event.offset < end):
            (ours if _key(event) in keys else others)[series] += 1
    deltas = {series: round(after.count(*series) - before.count(*series)) for series in series_of(created)}
    return tuple(
        LedgerSum(
            source=source,
            topic=topic,
            tenant_id=tenant,
            ours=ours[topic, tenant],
            others=None if (topic, tenant) in vague and delta > known else others[topic, tenant],
            delta=delta,
        )
        for (topic, tenant), delta in deltas.items()
        for known in (ours[topic, tenant] + others[topic, tenant],)
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


def covers(snapshot: Snapshot, events: Iterable[CrmEvent]) -> bool:
    """Say whether a snapshot was taken after all these events were counted; one without any position cannot tell."""
    places = ((event.offset, snapshot.position(event.topic, event.partition)) for event in events)
    return not snapshot.positions or all(place is not None and place > offset for offset, place in places)


def counter_sight(hop: str, event: CrmEvent | None, closed: Sequence[LedgerSum], *, at: datetime | None) -> HopSight:
    """Return whether the counter of the event's series accounts for it: its sum closes, or it does not."""
    if event is None:
        return HopSight(hop=hop, outcome="not_checked", saw="its event was not found in Kafka")
    tenant = str((event.value or {}).get("tenant_id"))
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
        at, value = point
        return HopSight(hop="panel", outcome="ok", saw=f"{event.topic} {value:.4g}/s", at=at)
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
    identity = (event.value or {}).get("id")
    return event.topic, identity if isinstance(identity, int) else -1


def _names_its_tenant(event: CrmEvent, entity: Created) -> bool:
    value = event.value or {}
    return value.get("tenant_id") == entity.tenant_id and value.get("event_type") == _EVENT_TYPES[entity.kind]
