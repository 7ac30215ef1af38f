"""Stretches of a sink's life over which its counters and positions can be compared.

Counters and positions of one snapshot belong together. Snapshots of different scrapes or instances are never mixed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from runbook.conservation.snapshot import Snapshot
from runbook.systems.kafka.records import CrmEvent, Position

KEEPS_TOTALS = "sqlite"
"""The journal from which a sink restores its counters."""

_SETTLED = 3
"""So many scrapes with the same partitions."""

_REBALANCED = "the sink's partitions changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Two snapshots of one process with the same partitions, between which no counter went back."""

    before: Snapshot
    after: Snapshot


def segments(
    snapshots: Sequence[Snapshot], *, is_alone: bool = True, spans_rebalances: bool = False
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Return the longest segments of an instance's snapshots in order of time, and what lies between them.

    A snapshot without positions is never an end: the sink hides them while a new series is shown at 0. While a sink
    that is not alone in its group starts again, another one may have counted in its place. With `spans_rebalances` a
    segment may go over changes of the partitions, if it has the same ones at both ends: what somebody else has passed
    meanwhile is then missing in its counts, which is right where no other instance is seen.
    """
    usable = [one for one in snapshots if one.positions]
    runs: list[list[Snapshot]] = [[one] for one in usable[:1]]
    notes: list[str] = []
    for before, after in pairwise(usable):
        broken = restarted(before, after, is_alone=is_alone)
        if not broken and not spans_rebalances and _is_rebalanced(before, after):
            broken = _REBALANCED
        if broken:
            notes.append(_between(before, after, broken))
            runs.append([after])
        else:
            runs[-1].append(after)
    pieces = [list(_pieces(run)) for run in runs]
    for of_run in pieces:
        notes += [_between(one[-1], other[0], _REBALANCED) for one, other in pairwise(of_run)]
    found = (Segment(before=one[0], after=one[-1]) for of_run in pieces for one in of_run if len(one) > 1)
    return tuple(found), tuple(notes)


def _pieces(run: Sequence[Snapshot]) -> Iterator[Sequence[Snapshot]]:
    """Yield the longest pieces with the same partitions at both ends."""
    while run:
        end = max(number for number, one in enumerate(run) if one.partitions == run[0].partitions) + 1
        yield run[:end]
        run = run[end:]


def _between(before: Snapshot, after: Snapshot, broken: str) -> str:
    return f"between {before.at:%H:%M:%S} and {after.at:%H:%M:%S} UTC {broken}: not checked"


def _is_rebalanced(before: Snapshot, after: Snapshot) -> bool:
    return before.partitions != after.partitions or before.assignments != after.assignments


def restarted(before: Snapshot, after: Snapshot, *, is_alone: bool = True) -> str:
    """Return why the counters of two snapshots are not those of one life of the sink; empty if they are.

    Counters that are lower in the same process are: it has lost counts.
    """
    now = {(one.topic, one.partition): one.offset for one in after.positions}
    if any(now.get((one.topic, one.partition), one.offset) < one.offset for one in before.positions):
        return "the sink went back to an earlier offset"
    is_told = None not in {before.started_s, after.started_s}
    is_another = before.started_s != after.started_s
    if is_told and is_another and not (is_alone and after.journal == KEEPS_TOTALS):
        return "the sink was restarted"
    if (is_another or not is_told) and any(after.value_of(one) < one.value for one in before.counts):
        return "the sink's counters began at 0"
    return ""


def is_moving(snapshots: Sequence[Snapshot]) -> bool:
    """Whether the partitions were set within the newest scrapes: they may come back in the next."""
    newest = telling(snapshots)[-_SETTLED:]
    return len(newest) == _SETTLED and any(_is_rebalanced(one, newest[-1]) for one in newest)


def telling(snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
    """Return the scrapes that tell what the sink owns: it hides its positions while a new series is shown at 0."""
    return [one for one in snapshots if one.positions or not one.at_zero]


def trusted(snapshots: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    """Return the scrapes that show every series that the sink had then, given that the newest one does.

    A counter never vanishes while its process lives, and the sink shows a new one at 0 once. A scrape that lacks a
    series which is above 0 in the next one, or has one that is not in a later one, was changed on its way: by a
    relabelling rule, say. Nothing can be learned from it about the sink, nor from those of a process before it that
    has not handed its counters on: it kept none, or the next one has another journal.
    """
    kept = list(snapshots[-1:])
    for one, later in reversed(list(pairwise(snapshots))):
        if one.started_s != later.started_s and (later.journal != KEEPS_TOTALS or not one.series <= kept[0].series):
            break
        if one.series <= kept[0].series <= one.series | later.at_zero:
            kept.insert(0, one)
    return tuple(kept)


def not_in(found: Sequence[Segment], events: Iterable[CrmEvent]) -> tuple[CrmEvent, ...]:
    """Return the messages that none of the segments has passed."""
    ranges = [passed(one) for one in found]

    def is_passed(event: CrmEvent) -> bool:
        spans = (one.get((event.topic, event.partition), (0, 0)) for one in ranges)
        return any(start <= event.offset < end for start, end in spans)

    return tuple(event for event in events if not is_passed(event))


def passed(segment: Segment) -> Mapping[Position, tuple[int, int]]:
    """Return, by topic and partition, the offsets that were passed: from the first up to, not including, the second."""
    return {
        (one.topic, one.partition): (one.offset, segment.after.position(one.topic, one.partition) or one.offset)
        for one in segment.before.positions
    }
