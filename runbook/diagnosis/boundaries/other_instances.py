"""Kafka to sink, for the instances whose page is not read: what they have not passed is known by their scrapes."""

from collections.abc import Mapping
from contextlib import suppress

from runbook.conservation.segments import telling
from runbook.conservation.snapshot import Snapshot
from runbook.diagnosis.boundaries.window import (
    LATE,
    MOST_OFFSETS,
    clock_ahead,
    events_between,
    fresh,
    remembered_now,
    sink_is_alone,
)
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.records import CrmEvent, Position


def not_passed_by_others(facts: Facts, page: Snapshot, ends: Mapping[Position, int]) -> tuple[CrmEvent, ...]:
    """Return the events before `ends` that their instance had not passed in a scrape that came well after them.

    Newer scrapes are waited for. Nothing is known where Prometheus cannot be read.
    """

    def look() -> tuple[tuple[CrmEvent, ...], bool]:
        late = _late(facts, page, ends)
        return late, not late

    with suppress(RunbookError):
        return () if sink_is_alone(facts) else facts.until(look)
    return ()


def _late(facts: Facts, page: Snapshot, ends: Mapping[Position, int]) -> tuple[CrmEvent, ...]:
    shown = [one for scrapes in fresh(facts, remembered_now(facts)).values() for one in telling(scrapes)[-1:]]
    newest: dict[Position, Snapshot] = {}
    for one in sorted(shown, key=lambda one: one.at):
        newest |= dict.fromkeys(one.partitions - page.partitions, one)
    behind = {
        place: (offset, end)
        for place, one in newest.items()
        if (offset := one.position(*place) or 0) < (end := ends.get(place, 0))
    }
    between = {place: (max(offset, end - MOST_OFFSETS), end) for place, (offset, end) in behind.items()}
    ahead = clock_ahead(facts) if between else LATE
    return tuple(
        event
        for event in events_between(facts, between)
        if event.at is not None and event.at < newest[event.topic, event.partition].at - ahead - LATE
    )
