"""Kafka to sink: what Kafka holds between two positions of the sink is what it counted and rejected."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from runbook.conservation.arithmetic import kafka_to_sink, unread
from runbook.conservation.boundary import Boundary, Flow, added
from runbook.conservation.segments import Segment, passed
from runbook.conservation.snapshot import Snapshot, snapshot_of_page
from runbook.diagnosis.boundaries.known_past import KnownPast, events_of, known_past
from runbook.diagnosis.boundaries.other_instances import not_passed_by_others
from runbook.diagnosis.boundaries.unowned import unowned_partitions
from runbook.diagnosis.boundaries.weaker import counts_without_positions
from runbook.diagnosis.boundaries.window import (
    MOST_OFFSETS,
    WINDOW,
    events_between,
    newest_run,
    remembered,
    starts_and_ends,
    topics_of,
)
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.records import CrmEvent, Position

NAME = "Kafka to sink"


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
    past = _held(known_past(facts, page, starts, unowned), ends)
    lost = _lost(facts, page)
    if not past.segments and not late and not lost and not past.flows:
        return Boundary(name=NAME, until=page.at, why=past.why, quiet=past.quiet, notes=past.notes)
    events = events_of(facts, past.segments)
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


def _held(past: KnownPast, ends: Mapping[Position, int]) -> KnownPast:
    """Leave out segments that end behind what Kafka holds: its log was lost, or the topic was made again since."""
    held = tuple(
        one for one in past.segments if all(end <= ends.get(place, 0) for place, (_, end) in passed(one).items())
    )
    if len(held) == len(past.segments):
        return past
    quiet = "" if held else "Kafka holds less than the sink has passed: its topics were made again since"
    return replace(past, segments=held, flows=(), quiet=quiet)


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
