"""Kafka to sink: what Kafka holds between two positions of the sink is what it counted and rejected."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from runbook.conservation.arithmetic import kafka_to_sink, unread
from runbook.conservation.boundary import Boundary, Flow, added
from runbook.conservation.segments import Segment, passed, segments, trusted
from runbook.conservation.snapshot import Snapshot, snapshot_of_page
from runbook.diagnosis.boundaries.after_restart import came_while_down
from runbook.diagnosis.boundaries.other_instances import not_passed_by_others
from runbook.diagnosis.boundaries.recorded_page import distance, recorded_page
from runbook.diagnosis.boundaries.scraped_counts import sink_prometheus
from runbook.diagnosis.boundaries.unowned import Unowned, carried, starts_of, uncounted, unowned_partitions
from runbook.diagnosis.boundaries.weaker import counts_without_positions
from runbook.diagnosis.boundaries.window import (
    MOST_OFFSETS,
    WINDOW,
    events_between,
    newest_run,
    remembered,
    sink_is_alone,
    starts_and_ends,
    topics_of,
)
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.records import CrmEvent, Position

NAME = "Kafka to sink"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What is known of where the sink was: `why` it is not, or `quiet` where there was nothing to know.

    `flows` are those of a restart, over which no segment goes.
    """

    segments: tuple[Segment, ...] = ()
    flows: tuple[Flow, ...] = ()
    why: str = ""
    quiet: str = ""
    notes: tuple[str, ...] = ()


@Fact
def kafka_sink(facts: Facts) -> Boundary:
    """Return Kafka to sink, from the newest traffic run, or the oldest scrape that is remembered, to the page now."""
    with suppress(RunbookError):  # said below, if it is needed; the page must be newer than what is remembered
        remembered(facts)
    page = snapshot_of_page(facts.page_now())
    topics = topics_of(facts, page)
    starts, ends = starts_and_ends(facts, topics)
    if not ends:
        return Boundary(name=NAME, quiet=f"Kafka has no topic {' and no topic '.join(topics)} yet")
    if not page.positions and not page.journal:
        return counts_without_positions(facts, page, starts)
    page, late = _caught_up(facts, page, ends)
    unowned = unowned_partitions(facts, page, ends)
    if unowned.why or not (page.positions or unowned.ends):
        why = unowned.why or "the sink shows no positions: it has no partitions yet"
        return Boundary(name=NAME, until=page.at, why=why)
    late = (*late, *not_passed_by_others(facts, page, ends))
    _, ends = starts_and_ends(facts, topics)
    past = _held(_past(facts, page, starts, unowned), ends)
    lost = _lost(facts, page)
    if not past.segments and not late and not lost and not past.flows:
        return Boundary(name=NAME, until=page.at, why=past.why, quiet=past.quiet, notes=past.notes)
    events = _events(facts, past.segments)
    counted = (flow for one in past.segments for flow in kafka_to_sink(one, events))
    flows = added([*counted, *lost, *past.flows, *map(_not_counted, late)])
    return Boundary(
        name=NAME,
        flows=flows,
        since=min((one.before.at for one in past.segments), default=None),
        until=page.at,
        why=past.why,
        places=_places(flows, past.segments, events, late),
        notes=(*unowned.notes, *past.notes),
    )


def _past(facts: Facts, page: Snapshot, starts: Mapping[Position, int], unowned: Unowned) -> _Past:
    """Return the segments up to the page: since the newest traffic run, where its record holds the page of then.

    Else from Prometheus's memory, which is only as good as what reaches it.
    """
    is_alone = sink_is_alone(facts)
    page = page.with_positions(unowned.ends) if is_alone else page
    recorded = recorded_page(facts, page, unowned)
    own: tuple[Segment, ...] = ()
    if recorded and _is_kept(recorded, starts) and distance(recorded, page) <= MOST_OFFSETS:
        own, _ = segments([recorded, page], is_alone=is_alone, spans_rebalances=is_alone)
    if own and is_alone:
        return _Past(segments=own)
    try:
        reaches = sink_prometheus(facts)
        remembered(facts)
    except RunbookError as error:
        return _known_by_prometheus(own, error.seen)
    if reaches.outcome != "ok":
        return _known_by_prometheus(own, reaches.why or "that differs")
    return _remembered(facts, page, starts, unowned, own)


def _known_by_prometheus(own: tuple[Segment, ...], why: str) -> _Past:
    """Return what is known without Prometheus: what the own segments lack is seen, what other instances lack is not."""
    whose = "other instances of the sink are" if own else "the past of the sink is"
    return _Past(segments=own, why=f"{whose} known by Prometheus alone, and {why}")


def _lost(facts: Facts, page: Snapshot) -> tuple[Flow, ...]:
    """Return what Kafka deleted before the sink had counted it: since the newest run, or since its start."""
    run = newest_run(facts)
    recorded = run.baseline.page if run else None
    before = recorded.lost if recorded and recorded.started_s == page.started_s else {}
    young = (facts.since or facts.now() - WINDOW).timestamp()
    if not before and (page.started_s or 0.0) < (run.started_at.timestamp() if run else young):
        return ()  # since when it is lost is not known
    gone = {topic: round(value - before.get(topic, 0.0)) for topic, value in page.lost.items()}
    return tuple(Flow(topic=topic, tenant_id="", entered=count, left=0) for topic, count in gone.items() if count > 0)


def _held(past: _Past, ends: Mapping[Position, int]) -> _Past:
    """Leave out segments that end behind what Kafka holds: its log was lost, or the topic was made again since."""
    held = tuple(
        one for one in past.segments if all(end <= ends.get(place, 0) for place, (_, end) in passed(one).items())
    )
    if len(held) == len(past.segments):
        return past
    quiet = "" if held else "Kafka holds less than the sink has passed: its topics were made again since"
    return replace(past, segments=held, flows=(), quiet=quiet)


def _remembered(
    facts: Facts, page: Snapshot, starts: Mapping[Position, int], unowned: Unowned, own: Sequence[Segment]
) -> _Past:
    """Return the segments of every instance, the page's own up to the page: those that are known already, if any."""
    scrapes, is_alone = remembered(facts), sink_is_alone(facts)
    found = list(own)
    notes: list[str] = []
    is_own_missing = not own
    for snapshots in scrapes.values():
        if own and snapshots[-1].started_s == page.started_s:
            continue
        kept = [one for one in trusted(snapshots) if one.positions and _is_kept(one, starts)]
        if kept and is_alone and unowned.ends:
            kept = list(carried(kept, starts_of(facts, unowned, starts, since=kept[0].at)))
        kept, said = _newest_slice(kept)
        if kept and is_own_missing and kept[-1].partitions == page.partitions:
            kept, is_own_missing = [*kept, page], False
        more, gaps = segments(kept, is_alone=is_alone, spans_rebalances=is_alone)
        found += more
        notes += [*said, *gaps]
    if unowned.ends and not is_alone:
        found.append(uncounted(facts, unowned, starts, scrapes, page))
    flows = came_while_down(facts, scrapes, page, starts)
    quiet = "" if found else "Prometheus remembers no earlier position of this sink"
    return _Past(segments=tuple(found), flows=flows, quiet=quiet, notes=tuple(notes))


def _is_kept(snapshot: Snapshot, starts: Mapping[Position, int]) -> bool:
    """Whether Kafka still holds what came after a snapshot."""
    return all(one.offset >= starts.get((one.topic, one.partition), 0) for one in snapshot.positions)


def _newest_slice(snapshots: Sequence[Snapshot]) -> tuple[list[Snapshot], list[str]]:
    """Leave out the oldest snapshots where more than MOST_OFFSETS lie between them and the newest, and say so."""
    kept = [one for one in snapshots if distance(one, snapshots[-1]) <= MOST_OFFSETS]
    said = f"only the newest {MOST_OFFSETS:,} offsets were read, since {kept[0].at:%H:%M:%S} UTC" if kept else ""
    return kept, [said] if len(kept) < len(snapshots) else []


def _caught_up(facts: Facts, page: Snapshot, ends: Mapping[Position, int]) -> tuple[Snapshot, tuple[CrmEvent, ...]]:
    """Wait until the sink has passed what Kafka held at the start; return its page then, and what it has not passed."""

    def look() -> tuple[Snapshot, bool]:
        now = snapshot_of_page(facts.page_now())
        return now, bool(now.positions) and (now.partitions != page.partitions or not _behind(now, ends))

    now = facts.until(look) if _behind(page, ends) or not page.positions else page
    behind = _behind(now, ends)
    between = {place: (max(start, end - MOST_OFFSETS), end) for place, (start, end) in behind.items()}
    return now, unread(now, ends, events_between(facts, between))


def _behind(page: Snapshot, ends: Mapping[Position, int]) -> dict[Position, tuple[int, int]]:
    return {
        (one.topic, one.partition): (one.offset, end)
        for one in page.positions
        if one.offset < (end := ends.get((one.topic, one.partition), 0))
    }


def _not_counted(event: CrmEvent) -> Flow:
    return Flow(topic=event.topic, tenant_id=event.content.tenant_id, entered=1, left=0)


def _events(facts: Facts, chosen: Sequence[Segment]) -> tuple[CrmEvent, ...]:
    between: dict[Position, tuple[int, int]] = {}
    for segment in chosen:
        for place, (start, end) in passed(segment).items():
            known = between.get(place, (start, end))
            between[place] = (min(start, known[0]), max(end, known[1]))
    return events_between(facts, between)


def _places(
    flows: Iterable[Flow], chosen: Sequence[Segment], events: Sequence[CrmEvent], late: Sequence[CrmEvent]
) -> tuple[str, ...]:
    """Say where what is missing was: offset by offset where nothing of a tenant was counted, else between which."""
    wrong = [flow for flow in flows if flow.difference]
    gone = {(flow.topic, flow.tenant_id) for flow in wrong if not flow.left}
    ranges = [passed(one) for one in chosen]
    passed_by = [
        one
        for one in events
        if (one.topic, one.content.tenant_id) in gone
        and any(
            start <= one.offset < end
            for start, end in (each.get((one.topic, one.partition), (0, 0)) for each in ranges)
        )
    ]
    exact = tuple(f"{one.topic}/{one.partition}@{one.offset}" for one in (*passed_by, *late))
    counted = {flow.topic for flow in wrong if flow.left}
    return exact + tuple(
        f"{topic}/{partition}@{start}-{end - 1}"
        for each in ranges
        for (topic, partition), (start, end) in sorted(each.items())
        if topic in counted and end > start
    )
