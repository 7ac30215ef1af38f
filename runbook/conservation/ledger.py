"""The ledger: every created entity followed through every hop. Pure decisions over facts."""

import re
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbook.conservation.own_events import CLOCK_TOLERANCE, Place, place_of, produced_at
from runbook.model import Created, HopSight, LedgerSum
from runbook.systems.grafana.client import Frame
from runbook.systems.kafka.records import CrmEvent
from runbook.systems.runtime import LogLine

_RECEIVED = re.compile(r"^\[(?P<at>[^\]]+)\] Received (?P<type>\S+) for tenant (?P<tenant>.*)$")


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


def api_sight(entity: Created) -> HopSight:
    """Return what the API answered for one entity."""
    return HopSight(hop="api", outcome="ok", saw=f"HTTP {entity.status} id={entity.id}", at=entity.answered_at)


def kafka_sight(found: Sequence[CrmEvent]) -> HopSight:
    """Return where the entity's event lies in Kafka, and the broker's time for it; it must be there once."""
    if not found:
        return HopSight(hop="kafka", outcome="failed", saw="no event with this id between the offsets of the run")
    places = ", ".join(f"{one.topic}/{one.partition}@{one.offset}" for one in found)
    if len(found) > 1:
        return HopSight(hop="kafka", outcome="failed", saw=f"{len(found)} events: {places}", at=found[0].at)
    return HopSight(hop="kafka", outcome="ok", saw=places, at=found[0].at)


def log_sights(
    events: Iterable[CrmEvent],
    lines: Sequence[Received],
    *,
    own: Collection[Place] | None = None,
    tolerance: timedelta = CLOCK_TOLERANCE,
) -> dict[Place, HopSight]:
    """Return the sink's line for each event: per type and tenant, the next line not older than the event.

    The line names no id, so each line is given to one event only, both in the order of time. Events of others belong
    among `events`: else one of their lines would stand for an event of ours that the sink never told of. Only where
    that gives each of `own` (None: of all) its line may lines be a little older, by `tolerance`, as the clocks may
    differ: they could as well be those of events from before.
    """
    every = sorted(events, key=produced_at)
    strict, loose = (_paired(every, lines, apart) for apart in (timedelta(), tolerance))
    whole = (
        one for one in (strict, loose) if all(one[place].outcome == "ok" for place in (one if own is None else own))
    )
    return next(whole, strict)


def _paired(events: Iterable[CrmEvent], lines: Sequence[Received], tolerance: timedelta) -> dict[Place, HopSight]:
    free: defaultdict[tuple[str, str], deque[Received]] = defaultdict(deque)
    for line in sorted(lines, key=lambda line: line.at):
        free[line.event_type, line.tenant_id].append(line)
    return {place_of(event): _log_sight(event, free[_told(event)], tolerance) for event in events}


def _log_sight(event: CrmEvent, free: deque[Received], tolerance: timedelta) -> HopSight:
    """Take the next line that is not older than the event; older ones are nobody's, as later events are younger."""
    while free and free[0].at < produced_at(event) - tolerance:
        free.popleft()
    if not free:
        event_type, tenant = _told(event)
        return HopSight(hop="sink log", outcome="failed", saw=f"no line 'Received {event_type} for tenant {tenant}'")
    line = free.popleft()
    return HopSight(hop="sink log", outcome="ok", saw=line.text, at=line.at)


def _told(event: CrmEvent) -> tuple[str, str]:
    return event.content.event_type, event.content.tenant_id


def counter_sight(
    hop: str, event: CrmEvent | None, closed: Sequence[LedgerSum], *, at: datetime | None, why: str = ""
) -> HopSight:
    """Return whether the counter of the event's series accounts for it: its sum closes, or it does not.

    `why` is the reason where the counter could not be read, or its sum could not be closed.
    """
    if event is None:
        return HopSight(hop=hop, outcome="not_checked", saw="its event was not found in Kafka")
    tenant = event.content.tenant_id
    total = next((one for one in closed if (one.topic, one.tenant_id) == (event.topic, tenant)), None)
    if total is None or total.outcome == "not_checked":
        return HopSight(hop=hop, outcome="not_checked", saw=why or "the counter or its baseline could not be read")
    saw = f"{total.ours} ours + {total.others} others, counted {total.delta}"
    return HopSight(hop=hop, outcome=total.outcome, saw=saw, at=at if total.outcome == "ok" else None)


def panel_sight(
    event: CrmEvent | None,
    frames: Sequence[Frame] | None,
    sampled: HopSight,
    *,
    sampled_at: datetime | None = None,
    why: str = "",
) -> HopSight:
    """Return the first moment at which the panel's own query shows the event's topic above zero.

    What it showed before Prometheus had the event, at `sampled_at`, it owes to others. So without a sample of the
    event no point can prove it: where Prometheus could not be asked it is not checked, and `why` says why.
    """
    if event is None or frames is None:
        saw = why or "the panel's query or the event could not be read"
        return HopSight(hop="panel", outcome="not_checked", saw=saw)
    since = sampled_at or sampled.at or produced_at(event) - CLOCK_TOLERANCE
    point = first_point(frames, event.topic, since=since)
    if sampled.outcome == "ok" or (sampled.outcome == "not_checked" and sampled_at):
        return _shown(event, point, is_sampled=sampled.outcome == "ok")
    if point is None and sampled.outcome == "failed":
        return HopSight(hop="panel", outcome="failed", saw=f"{event.topic}: no point above zero")
    saw = f"{event.topic}: whether a point is this event's is not known, as no sample of Prometheus is known to hold it"
    return HopSight(hop="panel", outcome="not_checked", saw=saw)


def _shown(event: CrmEvent, point: tuple[datetime, float] | None, *, is_sampled: bool) -> HopSight:
    if point:
        at, value = point  # by Grafana's clock, which may be behind the broker's
        at = max(at, event.at) if event.at else at
        return HopSight(hop="panel", outcome="ok", saw=f"{event.topic} {value:.4g}/s", at=at)
    if is_sampled:
        blind = f"{event.topic}: ingested, panel blind (series born above zero)"
        return HopSight(hop="panel", outcome="failed", saw=blind)
    return HopSight(hop="panel", outcome="not_checked", saw=f"{event.topic}: no point above zero, and no closed sum")


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
