"""Sink to Prometheus: a scrape holds what the sink's page showed then, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from runbook.conservation.arithmetic import born, sink_to_prometheus, within
from runbook.conservation.boundary import Boundary
from runbook.conservation.segments import Segment, passed, telling
from runbook.conservation.snapshot import Snapshot, snapshot_of_page
from runbook.diagnosis.boundaries.doubled_counts import doubled
from runbook.diagnosis.boundaries.shared_instance import taking_turns
from runbook.diagnosis.boundaries.window import (
    FRESH_INTERVALS,
    LATE,
    Scrapes,
    clock_ahead,
    events_between,
    fresh,
    interval,
    remembered_now,
    starts_and_ends,
    topics_of,
)
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.systems.prometheus.client import Prometheus

_NAME: Final = "sink to Prometheus"
_MEASURED: Final = timedelta(milliseconds=100)
"""How exactly the clock of Prometheus is known: on a busy machine its answer takes its time."""


@Fact
def sink_prometheus(facts: Facts) -> Boundary:
    """Return sink to Prometheus.

    The newest scrape is held against the page, taken back to the position of that scrape. Where that cannot be done,
    or differs, the next scrape is waited for: its counters lie between those of the pages before and after it.
    """
    scrapes = remembered_now(facts)
    page = snapshot_of_page(facts.page_now())  # newer than any of the scrapes
    wrong = doubled(facts, page, name=_NAME) or taking_turns(fresh(facts, scrapes), name=_NAME)
    if wrong:
        return wrong
    exact = _exact(facts, page, telling(_own(facts, scrapes, page))[-1:])
    if exact and exact.boundary.outcome == "ok" and not exact.late:
        return exact.boundary
    followed = _followed(facts, page)
    if followed.why and exact and exact.boundary.outcome == "failed":
        return exact.boundary
    if exact and exact.boundary.outcome == "ok" and followed.outcome == "ok":
        return exact.boundary
    return followed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exact:
    """The equality at the position of a scrape. `late`: it lacks events that were in Kafka well before it."""

    boundary: Boundary
    late: bool


def _exact(facts: Facts, page: Snapshot, newest: Sequence[Snapshot]) -> _Exact | None:
    """Return it, where the scrape has the page's partitions and is of the same process."""
    for one in newest:
        oldest = facts.now() + clock_ahead(facts) - FRESH_INTERVALS * interval(facts)
        is_same = (one.started_s, one.assignments, one.partitions) == (
            page.started_s,
            page.assignments,
            page.partitions,
        )
        if not (page.positions and one.positions) and {*one.counts} == {*page.counts} and one.at >= oldest:
            flows = within(page, one, page)
            return _Exact(boundary=Boundary(name=_NAME, flows=flows, since=one.at, until=page.at), late=False)
        if not page.positions or not is_same or one.at < oldest:
            return None
        segment = Segment(before=one, after=page)
        _, ends = starts_and_ends(facts, topics_of(facts, page))
        between = passed(segment)
        if any(end > ends.get(place, 0) or start > end for place, (start, end) in between.items()):
            return None
        events = events_between(facts, between)
        scraped_at = one.at - clock_ahead(facts)
        late = any(event.at is not None and event.at < scraped_at - LATE for event in events)
        flows = sink_to_prometheus(page, one, events)
        return _Exact(boundary=Boundary(name=_NAME, flows=flows, since=one.at, until=page.at), late=late)
    return None


def _followed(facts: Facts, first: Snapshot) -> Boundary:
    """Wait for a scrape that began after `first` was read, and hold it against the pages around it."""
    since = first.at + clock_ahead(facts) + _MEASURED

    def look() -> tuple[Sequence[Snapshot] | None, bool]:
        scrapes = remembered_now(facts)
        newer = [one for one in _own(facts, scrapes, first) if one.at > since]
        if newer:
            return newer, not born(newer, first)
        is_gone = not any(one.at > since for of_it in scrapes.values() for one in of_it) and _is_scraped(facts, first)
        return ((), True) if is_gone else (None, False)

    newer = facts.until(look)
    if newer is None:
        return Boundary(name=_NAME, why=_no_scrape(facts, first))
    if newer and born(newer, first):
        return Boundary(name=_NAME, quiet="its series are shown at 0 for one scrape, as they are new")
    second = snapshot_of_page(facts.page_now())
    if second.started_s != first.started_s:
        return Boundary(name=_NAME, why="the sink was restarted while its next scrape was waited for")
    scrape = newer[-1] if newer else Snapshot(at=second.at, counts=(), positions=())
    return Boundary(name=_NAME, flows=within(first, scrape, second), since=first.at, until=second.at)


def _own(facts: Facts, scrapes: Scrapes, page: Snapshot) -> Sequence[Snapshot]:
    """Return the scrapes of the instance that the page is of: the same process, else the one that is most like it.

    Prometheus remembers instances that it no longer scrapes: there are as many as it has targets.
    """
    targets = sum(not one.dropped for one in facts.targets())
    current = sorted(scrapes.values(), key=lambda of_it: of_it[-1].at, reverse=True)[:targets]

    def likeness(of_it: Sequence[Snapshot]) -> tuple[bool, int]:
        newest = of_it[-1]
        return newest.started_s == page.started_s, len(newest.partitions & page.partitions)

    return max(current, key=likeness, default=())


def _is_scraped(facts: Facts, since: Snapshot) -> bool:
    """Whether each of the sink's targets was scraped twice since a page was read; then what is not held is not kept."""
    found = facts.ask_prometheus(Prometheus.targets)
    mine = [one for one in found if one.job == facts.target.prometheus.job and not one.dropped]
    after = since.at + clock_ahead(facts) + _MEASURED
    return bool(mine) and all(one.health == "up" and one.last_scrape and one.last_scrape > after for one in mine)


def _no_scrape(facts: Facts, first: Snapshot) -> str:
    every_s = interval(facts).total_seconds()
    return f"no scrape of the sink has come since {first.at:%H:%M:%S} UTC; it is scraped every {every_s:g} s"
