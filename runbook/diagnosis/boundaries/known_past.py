"""Kafka to sink: the stretches of every instance up to now over which its counters and positions are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runbook.conservation.boundary import Flow
from runbook.conservation.group_segment import group_segment
from runbook.conservation.segments import Segment, not_in, passed, segments, telling, trusted
from runbook.conservation.snapshot import Snapshot
from runbook.diagnosis.boundaries.after_restart import came_while_down
from runbook.diagnosis.boundaries.recorded_page import distance, recorded_page
from runbook.diagnosis.boundaries.scraped_counts import sink_prometheus
from runbook.diagnosis.boundaries.unowned import Unowned, carried, starts_of, uncounted
from runbook.diagnosis.boundaries.window import (
    MOST_OFFSETS,
    Scrapes,
    clock_ahead,
    events_between,
    newest_run,
    remembered,
    sink_is_alone,
)
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.records import CrmEvent, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPast:
    """What is known of where the sink was: `why` it is not, or `quiet` where there was nothing to know.

    `flows` are those of a restart, over which no segment goes.
    """

    segments: tuple[Segment, ...] = ()
    flows: tuple[Flow, ...] = ()
    why: str = ""
    quiet: str = ""
    notes: tuple[str, ...] = ()


def known_past(facts: Facts, page: Snapshot, starts: Mapping[Position, int], unowned: Unowned) -> KnownPast:
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
        return KnownPast(segments=own)
    try:
        reaches = sink_prometheus(facts)
        remembered(facts)
    except RunbookError as error:
        return _known_by_prometheus(own, error.seen)
    if reaches.outcome != "ok":
        return _known_by_prometheus(own, reaches.why or "that differs")
    return _remembered(facts, page, starts, unowned, own)


def _known_by_prometheus(own: tuple[Segment, ...], why: str) -> KnownPast:
    """Return what is known without Prometheus: what the own segments lack is seen, what other instances lack is not."""
    whose = "other instances of the sink are" if own else "the past of the sink is"
    return KnownPast(segments=own, why=f"{whose} known by Prometheus alone, and {why}")


def _remembered(
    facts: Facts, page: Snapshot, starts: Mapping[Position, int], unowned: Unowned, own: Sequence[Segment]
) -> KnownPast:
    """Return the segments of every instance, the page's own up to the page: those that are known already, if any."""
    scrapes, is_alone = _since_the_run(facts, remembered(facts)), sink_is_alone(facts)
    found = list(own)
    notes: list[str] = []
    chains: dict[str, Sequence[Snapshot]] = {}
    is_own_missing = not own
    for name, snapshots in scrapes.items():
        chains[name] = trusted(snapshots)
        if own and snapshots[-1].started_s == page.started_s:
            continue
        kept = [one for one in chains[name] if one.positions and _is_kept(one, starts)]
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
    past = KnownPast(segments=tuple(found), flows=flows, quiet=quiet, notes=tuple(notes))
    return past if is_alone or flows or not found else _with_what_moved(facts, past, chains, starts)


def _since_the_run(facts: Facts, scrapes: Scrapes) -> Scrapes:
    """Return the scrapes from the last one of each instance with positions before the newest run on."""
    run = newest_run(facts)
    if run is None:
        return scrapes
    began = run.baseline.at + clock_ahead(facts)

    def cut(of_it: tuple[Snapshot, ...]) -> tuple[Snapshot, ...]:
        before = [number for number, one in enumerate(of_it) if one.at <= began and one.positions]
        return of_it[before[-1] if before else 0 :]

    return {name: cut(of_it) for name, of_it in scrapes.items()}


def _with_what_moved(
    facts: Facts, past: KnownPast, chains: Mapping[str, Sequence[Snapshot]], starts: Mapping[Position, int]
) -> KnownPast:
    """Judge all instances together where a partition moved between them with messages; say so where that fails."""
    last = sorted((one for of_it in chains.values() for one in telling(of_it)[-1:]), key=lambda one: one.at)
    ends = {(place.topic, place.partition): place.offset for one in last for place in one.positions}
    events = events_of(facts, past.segments, until=ends)
    moved = not_in(past.segments, events)
    if not moved:
        return past
    kept = {name: [one for one in of_it if _is_kept(one, starts)] for name, of_it in chains.items()}
    group = group_segment({name: _newest_slice(of_it)[0] for name, of_it in kept.items()})
    if group and not not_in([group], moved):
        return replace(past, segments=(group,))
    first = moved[0]
    where = f"{first.topic}/{first.partition}@{first.offset}"
    why = f"which of several instances passed {len(moved)} messages, from {where} on, no scrape tells"
    return replace(past, why=why)


def _is_kept(snapshot: Snapshot, starts: Mapping[Position, int]) -> bool:
    """Whether Kafka still holds what came after a snapshot."""
    return all(one.offset >= starts.get((one.topic, one.partition), 0) for one in snapshot.positions)


def _newest_slice(snapshots: Sequence[Snapshot]) -> tuple[list[Snapshot], list[str]]:
    """Leave out the oldest snapshots where more than MOST_OFFSETS lie between them and the newest, and say so."""
    kept = [one for one in snapshots if distance(one, snapshots[-1]) <= MOST_OFFSETS]
    said = f"only the newest {MOST_OFFSETS:,} offsets were read, since {kept[0].at:%H:%M:%S} UTC" if kept else ""
    return kept, [said] if len(kept) < len(snapshots) else []


def events_of(
    facts: Facts, chosen: Sequence[Segment], *, until: Mapping[Position, int] | None = None
) -> tuple[CrmEvent, ...]:
    """Return what lies between the first and the last position of all, and on to `until` where that is known."""
    between: dict[Position, tuple[int, int]] = {}
    for segment in chosen:
        for place, (start, end) in passed(segment).items():
            known = between.get(place, (start, end))
            between[place] = (min(start, known[0]), max(end, known[1], (until or {}).get(place, 0)))
    return events_between(facts, between)
