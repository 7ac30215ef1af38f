"""Kafka to sink over a restart without totals (journal none or PostgreSQL): what came while the sink was down.

Nobody can have counted that but the process which was started then.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from runbook.conservation.arithmetic import counted_from_zero
from runbook.conservation.boundary import Flow
from runbook.conservation.segments import KEEPS_TOTALS, Segment, passed
from runbook.conservation.snapshot import Snapshot
from runbook.diagnosis.boundaries.window import (
    MOST_OFFSETS,
    WINDOW,
    Scrapes,
    clock_ahead,
    events_between,
    interval,
    newest_run,
)
from runbook.diagnosis.facts import Facts
from runbook.systems.kafka.records import Position

_CLOCKS: Final = timedelta(seconds=2)
"""Producers' clocks and that of Prometheus may differ by so much, where scrapes are no closer."""


def came_while_down(facts: Facts, scrapes: Scrapes, page: Snapshot, starts: Mapping[Position, int]) -> tuple[Flow, ...]:
    """Return what came between the last sight of the sink's old process and its new one, against what this counted."""
    if len(scrapes) != 1 or page.journal == KEEPS_TOTALS or page.started_s is None:
        return ()
    (of_it,) = scrapes.values()
    usable = [one for one in of_it if one.positions]
    old = [one for one in usable if one.started_s != page.started_s and one.at.timestamp() < page.started_s][-1:]
    new = [*(one for one in usable if one.started_s == page.started_s), page][0]
    if not old or not new.positions or old[0].partitions != new.partitions:
        return ()
    passed_by = passed(Segment(before=old[0], after=new))
    between = {place: (start, end) for place, (start, end) in passed_by.items() if start < end}
    is_kept = all(start >= starts.get(place, 0) for place, (start, _) in between.items())
    down_at = _down_at(facts, after=old[0].at)
    if down_at is None or not is_kept or sum(end - start for start, end in between.values()) > MOST_OFFSETS:
        return ()
    surely = [one for one in events_between(facts, between) if one.at is not None and one.at >= down_at]
    return counted_from_zero(old[0], new, surely)


def _down_at(facts: Facts, *, after: datetime) -> datetime | None:
    """Return since when the sink did not answer, by our clock: to a scrape after that time, or to the newest run."""
    window_s = (facts.now() - (facts.since or facts.now() - WINDOW)).total_seconds()
    query = f'up{{job="{facts.target.prometheus.job}"}}'
    failed = [
        at
        for one in facts.ask_prometheus(lambda prometheus: prometheus.samples(query, window_s=window_s))
        for at, value in one.samples
        if at > after and not value
    ]
    down = [min(failed) - clock_ahead(facts) + min(_CLOCKS, interval(facts) / 4)] if failed else []
    run = newest_run(facts)
    if run and run.baseline.page is None and run.baseline.at > after - clock_ahead(facts):
        down.append(run.baseline.at)
    return min(down, default=None)
