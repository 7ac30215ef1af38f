"""The sums of one run at one counter: ours + others in Kafka against what the counter grew by."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runbook.conservation.own_events import CLOCK_TOLERANCE, events_of, place_of, produced_at
from runbook.conservation.segments import Segment, is_moving, passed, segments
from runbook.conservation.snapshot import OVERFLOW_TENANT, Position, Snapshot
from runbook.model import Created, LedgerSum
from runbook.systems.kafka.records import CrmEvent
from runbook.wording import moment

Series = tuple[str, str]
"""Topic and tenant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSums:
    """The sums of one counter, and what keeps some of them from being closed.

    `notes` will not change by waiting; `late` is what the next reading may bring.
    """

    sums: tuple[LedgerSum, ...]
    notes: tuple[str, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether every sum was read and closes."""
        return all(one.outcome == "ok" for one in self.sums)

    @property
    def may_close(self) -> bool:
        """Whether another reading may help: what was not read before, or lies behind a restart, never comes."""
        outcomes = {one.outcome for one in self.sums}
        return "failed" in outcomes or bool(self.late) or ("not_checked" in outcomes and not self.notes)


def run_sums(
    created: Sequence[Created],
    events: Iterable[CrmEvent],
    chains: Sequence[Sequence[Snapshot]],
    *,
    source: str,
    is_alone: bool = True,
    spans_rebalances: bool = False,
) -> RunSums:
    """Return one sum per series of this run: ours + others in Kafka, against what the counters grew by.

    Each chain holds the snapshots of one instance, from before the run to now. Where a chain breaks (the counters began
    at 0, partitions moved), what was passed between its two ends is neither counted nor lost: a series of which one of
    ours lies there is not checked. One of ours that was not passed is missing in the delta, if a snapshot from after
    it says so; an older one says nothing of it. `is_alone` and `spans_rebalances` are those of `segments`.
    """
    every = tuple(events)
    cut = [segments(chain, is_alone=is_alone, spans_rebalances=spans_rebalances) for chain in chains]
    found = [segment for segments_, _ in cut for segment in segments_]
    told = [(note, is_moving(chain)) for (_, notes), chain in zip(cut, chains, strict=True) for note in notes]
    ranges = [passed(segment) for segment in found]
    latest = _latest(chains)
    own = {place_of(one) for of_it in events_of(created, every).values() for one in of_it}
    ours: Counter[Series] = Counter()
    others: Counter[Series] = Counter()
    unseen: set[Series] = set()
    late: list[CrmEvent] = []
    for event in every:
        place, series = (event.topic, event.partition), (event.topic, event.content.tenant_id)
        is_ours = place_of(event) in own
        if any(start <= event.offset < end for start, end in (one.get(place, (0, 0)) for one in ranges)):
            (ours if is_ours else others)[series] += 1
        elif is_ours and place in latest and event.offset >= latest[place].offset and _tells_of(latest[place], event):
            ours[series] += 1
        elif is_ours:
            unseen.add(series)
            if place in latest and event.offset >= latest[place].offset:
                late.append(event)
    overflown = {one for one in series_of(created) if _is_overflown(one, found)}
    return RunSums(
        sums=tuple(
            LedgerSum(
                source=source,
                topic=topic,
                tenant_id=tenant,
                ours=ours[topic, tenant],
                others=None if (topic, tenant) in unseen | overflown or not found else others[topic, tenant],
                delta=_delta((topic, tenant), found),
            )
            for topic, tenant in series_of(created)
        ),
        notes=(
            *(note for note, moves in told if not moves),
            *(f"{topic} of {tenant} is counted as {OVERFLOW_TENANT}, with others" for topic, tenant in overflown),
        ),
        late=(
            *(note for note, moves in told if moves),
            *_told_late(late, max((one.at for one in latest.values()), default=None)),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latest:
    """The newest position in a partition, and when it was shown."""

    offset: int
    at: datetime


def _latest(chains: Iterable[Sequence[Snapshot]]) -> Mapping[tuple[str, int], _Latest]:
    """Return, by topic and partition, the newest position of any instance."""
    latest: dict[tuple[str, int], _Latest] = {}
    for chain in chains:
        last = next((one for one in reversed(chain) if one.positions), None)
        for place in last.positions if last else ():
            key = (place.topic, place.partition)
            if last and (key not in latest or place.offset > latest[key].offset):
                latest[key] = _Latest(offset=place.offset, at=last.at)
    return latest


def _tells_of(latest: _Latest, event: CrmEvent) -> bool:
    """Whether a position was shown after the event was there: else it could not have passed it."""
    return latest.at > produced_at(event) + CLOCK_TOLERANCE


def _told_late(late: Sequence[CrmEvent], newest: datetime | None) -> tuple[str, ...]:
    if not late or newest is None:
        return ()
    return (f"the newest reading, of {moment(newest)}, is from before {len(late)} of the events",)


def _is_overflown(series: Series, found: Sequence[Segment]) -> bool:
    topic, tenant = series
    return any(topic in one.after.overflowing and tenant not in one.after.tenants for one in found)


def _delta(series: Series, found: Sequence[Segment]) -> int | None:
    return round(sum(one.after.count(*series) - one.before.count(*series) for one in found)) if found else None


def sums_without_positions(
    created: Sequence[Created],
    events: Iterable[CrmEvent],
    *,
    source: str,
    before: Snapshot,
    after: Snapshot,
    end_offsets: Sequence[Position],
) -> RunSums:
    """Return the weaker sums of a sink that reports no positions, such as the one in the field today.

    Everything from the end offsets before the run on is expected to be counted. The counter can have counted more than
    is known here (events that lay between the two readings), so a delta above the sum tells nothing; nor does one below
    it, if the newest reading is older than one of the events.
    """
    every = tuple(events)
    own = {place_of(one) for of_it in events_of(created, every).values() for one in of_it}
    starts = {(place.topic, place.partition): place.offset for place in end_offsets}
    counted = [one for one in every if one.offset >= starts.get((one.topic, one.partition), 0)]
    series = [(one.topic, one.content.tenant_id) for one in counted]
    ours = Counter(name for name, one in zip(series, counted, strict=True) if place_of(one) in own)
    others = Counter(name for name, one in zip(series, counted, strict=True) if place_of(one) not in own)
    young = [one for one in counted if after.at <= produced_at(one) + CLOCK_TOLERANCE]
    sums = []
    for topic, tenant in series_of(created):
        name = (topic, tenant)
        delta = round(after.count(*name) - before.count(*name))
        missing = ours[name] + others[name] - delta
        is_open = missing < 0 or (missing > 0 and any((one.topic, one.content.tenant_id) == name for one in young))
        sums.append(
            LedgerSum(
                source=source,
                topic=topic,
                tenant_id=tenant,
                ours=ours[name],
                others=None if is_open else others[name],
                delta=delta,
            )
        )
    is_late = any(one.outcome == "not_checked" for one in sums)
    return RunSums(sums=tuple(sums), late=_told_late(young, after.at) if is_late else ())


def unread_sums(source: str, created: Sequence[Created], own: Iterable[CrmEvent] | None) -> tuple[LedgerSum, ...]:
    """Return the sums of a run whose counters could not be read; `own` are its events in Kafka, None if unknown."""
    known = created if own is None else own
    size = Counter((one.topic, one.tenant_id if isinstance(one, Created) else one.content.tenant_id) for one in known)
    return tuple(
        LedgerSum(source=source, topic=topic, tenant_id=tenant, ours=size[topic, tenant], others=None, delta=None)
        for topic, tenant in series_of(created)
    )


def series_of(created: Iterable[Created]) -> tuple[Series, ...]:
    """Return the series (topic, tenant) that this run adds to."""
    return tuple(sorted({(entity.topic, entity.tenant_id) for entity in created}))
