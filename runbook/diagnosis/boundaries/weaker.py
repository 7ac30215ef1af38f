"""Kafka to sink for a sink that shows no positions, such as the one in the field today: a weaker claim."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runbook.conservation.arithmetic import without_positions
from runbook.conservation.boundary import Boundary
from runbook.conservation.segments import restarted
from runbook.conservation.snapshot import Snapshot, snapshot_of_page
from runbook.diagnosis.boundaries.window import (
    MOST_OFFSETS,
    clock_ahead,
    events_between,
    newest_run,
    remembered,
    starts_and_ends,
    topics_of,
)
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.records import CrmEvent, Position

_NAME: Final = "Kafka to sink"
_NOTE: Final = "the sink shows no positions: its counts are held against the times of the events"
_LAG: Final = timedelta(seconds=30)
"""An event that is so much older than a reading may have been counted after it."""

_CLOCKS: Final = timedelta(seconds=2)
"""An event that is so much younger than a reading was not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What was counted at a time; `ends`, where they are known, are the offsets of then. `why` it is not known."""

    page: Snapshot | None = None
    at: datetime | None = None
    ends: Mapping[Position, int] | None = None
    why: str = ""


def counts_without_positions(facts: Facts, page: Snapshot, starts: Mapping[Position, int]) -> Boundary:
    """Return what was counted since the newest run, or the oldest scrape, against the events since then."""
    before = _before(facts, page)
    if before.page is None or before.at is None:
        return Boundary(name=_NAME, until=page.at, why=before.why)
    counted_before, since = before.page, before.at

    def look() -> tuple[Boundary, bool]:
        _, ends = starts_and_ends(facts, topics_of(facts, page))
        now = snapshot_of_page(facts.page_now())
        _, later = starts_and_ends(facts, topics_of(facts, page))
        between = {place: (max(starts.get(place, 0), end - MOST_OFFSETS), end) for place, end in later.items()}
        events = [one for one in events_between(facts, between) if one.at is None or one.at >= since - _LAG]
        surely = [
            one for one in events if _is_after(one, before) and one.offset < ends.get((one.topic, one.partition), 0)
        ]
        sure = {id(one) for one in surely}
        maybe = [one for one in events if id(one) not in sure]
        flows = without_positions(counted_before, now, surely=surely, maybe=maybe)
        found = Boundary(name=_NAME, flows=flows, since=since, until=now.at, notes=(_NOTE,))
        return found, found.outcome == "ok"

    return facts.until(look)


def _is_after(event: CrmEvent, before: _Before) -> bool:
    if before.ends is not None:
        return event.offset >= before.ends.get((event.topic, event.partition), 0)
    return event.at is not None and before.at is not None and event.at >= before.at + _CLOCKS


def _before(facts: Facts, page: Snapshot) -> _Before:
    run = newest_run(facts)
    recorded = run.baseline.page if run else None
    if run and recorded and run.baseline.end_offsets is not None and not restarted(recorded, page):
        ends = {(one.topic, one.partition): one.offset for one in run.baseline.end_offsets}
        return _Before(page=recorded, at=recorded.at, ends=ends)
    scrapes: Mapping[str, tuple[Snapshot, ...]] = {}
    with suppress(RunbookError):
        scrapes = remembered(facts)
    if len(scrapes) != 1:
        many = "several instances show none" if scrapes else "Prometheus remembers no scrape of it"
        return _Before(why=f"the sink shows no positions, and {many}")
    (snapshots,) = scrapes.values()
    since = next((number for number, one in enumerate(snapshots) if not restarted(one, page)), None)
    if since is None:
        return _Before(why="the sink shows no positions, and was restarted a moment ago")
    return _Before(page=snapshots[since], at=snapshots[since].at - clock_ahead(facts))
