"""Partitions that no sink owns which Prometheus scrapes: what is in them reaches no graph."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from runbook.conservation.segments import Segment, telling
from runbook.conservation.snapshot import Snapshot, shown_by_target, snapshot_of_page
from runbook.diagnosis.boundaries.window import (
    FRESH_INTERVALS,
    MOST_OFFSETS,
    Scrapes,
    clock_ahead,
    events_between,
    fresh,
    interval,
    remembered_now,
)
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.records import Position
from runbook.systems.sink.client import TIME_TO_JOIN_S

_LOOKS: Final = 2
"""In so many scrapes one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unowned:
    """Such partitions with their end offsets, and who owns them as far as Kafka says; `why` it cannot be told."""

    ends: Mapping[Position, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    why: str = ""


def unowned_partitions(facts: Facts, page: Snapshot, ends: Mapping[Position, int]) -> Unowned:
    """Return the partitions that neither the page nor the last scrapes of any instance show.

    After a rebalance it takes a scrape until the new owner shows them: that is waited for.
    """
    lacking = {place for place, end in ends.items() if end and place not in page.partitions}
    if not lacking:
        return Unowned()
    is_old = page.started_s is not None and page.at.timestamp() - page.started_s > TIME_TO_JOIN_S

    def look() -> tuple[tuple[frozenset[Position], str], bool]:
        scrapes = fresh(facts, remembered_now(facts))
        last = [telling(of_it)[-_LOOKS:] for of_it in scrapes.values()]
        others = last if len(last) > 1 else ()  # the only instance is that of the page
        owned = snapshot_of_page(facts.page_now()).partitions.union(*(one.partitions for two in others for one in two))
        left, why = lacking - owned, "" if is_old and not page.positions else _unsettled(last, page)
        return (frozenset(left), why), not left or not why

    left, why = facts.until(look)
    job, elsewhere = _of_another_job(facts, left)
    if elsewhere:
        return Unowned(why=f"{_named(elsewhere)} is owned by a sink of the job {job}, which is not looked at")
    if left and why:
        return Unowned(why=f"no sink that is seen owns {_named(left)}, and {why}")
    return Unowned(ends={place: ends[place] for place in sorted(left)}, notes=_owners(facts, left))


def carried(snapshots: Sequence[Snapshot], starts: Mapping[Position, int]) -> Iterator[Snapshot]:
    """Yield snapshots of the only instance with the position that each lost partition had last; else from `starts`."""
    known = dict(starts)
    for one in snapshots:
        known |= {
            (each.topic, each.partition): each.offset for each in one.positions if (each.topic, each.partition) in known
        }
        yield one.with_positions(known)


def starts_of(
    facts: Facts, unowned: Unowned, starts: Mapping[Position, int], *, since: datetime
) -> dict[Position, int]:
    """Return the offset of the first event since a time, by the broker's clock, in each partition; else its end."""
    between = {place: (max(starts[place], end - MOST_OFFSETS), end) for place, end in unowned.ends.items()}
    first = dict(unowned.ends)
    for event in events_between(facts, between):
        place = (event.topic, event.partition)
        if event.at is not None and event.at >= since:
            first[place] = min(first[place], event.offset)
    return first


def uncounted(
    facts: Facts, unowned: Unowned, starts: Mapping[Position, int], scrapes: Scrapes, page: Snapshot
) -> Segment:
    """Return what came into the partitions since any of several instances showed them: nobody counts it."""
    shown = [one.at for of_it in scrapes.values() for one in of_it if one.partitions & unowned.ends.keys()]
    oldest = min((of_it[0].at for of_it in scrapes.values()), default=page.at)
    since = max(shown, default=oldest)
    before = Snapshot(at=since, counts=(), positions=()).with_positions(starts_of(facts, unowned, starts, since=since))
    return Segment(before=before, after=Snapshot(at=page.at, counts=(), positions=()).with_positions(unowned.ends))


def _unsettled(last: Sequence[Sequence[Snapshot]], page: Snapshot) -> str:
    if not any(one.positions for two in last for one in two):
        return "Prometheus holds no fresh scrape with positions"
    if any(len(two) < _LOOKS or two[0].assignments != two[-1].assignments for two in last):
        return "partitions were set a moment ago"
    if not any(two[-1].started_s == page.started_s for two in last):
        return "Prometheus holds no two scrapes of this process"
    return ""


def _of_another_job(facts: Facts, places: frozenset[Position]) -> tuple[str, frozenset[Position]]:
    """Return the job whose targets show such partitions, too, and which ones."""
    oldest = facts.now() + clock_ahead(facts) - FRESH_INTERVALS * interval(facts)
    shown = facts.ask_prometheus(lambda one: shown_by_target(one, since=oldest)) if places else {}
    found = ((job, one.partitions & places) for (job, _), one in shown.items() if job != facts.target.prometheus.job)
    return next((one for one in found if one[1]), ("", frozenset()))


def _owners(facts: Facts, places: frozenset[Position]) -> tuple[str, ...]:
    notes = [f"no sink that Prometheus scrapes owns {_named(places)}"] if places else []
    with suppress(RunbookError):
        group = facts.ask_kafka(Kafka.group) if places else None
        for client_id, host, owned in group.members if group else ():
            mine = places & set(owned)
            notes += [f"{_named(mine)}: owned by {client_id} at {host}"] if mine else []
    return tuple(notes)


def _named(places: "frozenset[Position] | set[Position]") -> str:
    return ", ".join(f"{topic}/{partition}" for topic, partition in sorted(places))
