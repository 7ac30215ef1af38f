"""The stretch over which all instances of a group are counted together, whatever partitions they hand to each other.

A message that one instance has passed is in its counters, wherever its partition went since. So between two moments at
which each partition is shown by one instance, the sum of all counters has grown by exactly what lies between the
positions of then. It takes that no process ended meanwhile without handing its counters on.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from runbook.conservation.segments import Segment, restarted, telling
from runbook.conservation.snapshot import Snapshot


def group_segment(scrapes: Mapping[str, Sequence[Snapshot]]) -> Segment | None:
    """Return the longest such stretch up to the newest scrapes of all instances (oldest first); None without one."""
    told = [telling(of_it) for of_it in scrapes.values()]
    after = _together([of_it[-1] for of_it in told if of_it])
    if after is None:
        return None
    for at in sorted(one.at for of_it in told for one in of_it):
        before = _at(told, at)
        if before and before.partitions == after.partitions and before.at < after.at:
            return Segment(before=before, after=after)
    return None


def _at(told: Sequence[Sequence[Snapshot]], at: datetime) -> Snapshot | None:
    """Return what all instances showed at a time, if each of them has lived on since, or began to count after it."""
    newest = []
    for of_it in told:
        then = [one for one in of_it if one.at <= at][-1:]
        since = [one for one in of_it if one.at > at]
        if not then and since and (since[0].started_s is None or since[0].started_s < at.timestamp()):
            return None  # it had counted before it was scraped
        lived = [*then, *since]
        if any(restarted(one, later) for one, later in pairwise(lived)):
            return None
        newest += then
    return _together(newest)


def _together(each: Sequence[Snapshot]) -> Snapshot | None:
    """Return the snapshots as one; None if two of them show one partition, or none shows any."""
    positions = tuple(place for one in each for place in one.positions)
    if not positions or len({(one.topic, one.partition) for one in positions}) < len(positions):
        return None
    return Snapshot(
        at=max(one.at for one in each),
        counts=tuple(count for one in each for count in one.counts),
        positions=positions,
        rejected=tuple(count for one in each for count in one.rejected),
    )
