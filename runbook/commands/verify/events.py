"""The look at Kafka for `verify`: wait for the events of a run to arrive, and return what was seen.

A look waits until it is complete, its time is over or nothing more can come, and returns its evidence either way. What
it cannot read at all it raises, and the frame notes the hop as not checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from runbook.commands.task_run import StepOutput
from runbook.conservation.own_events import Key, events_of, place_of, produced_at
from runbook.conservation.traffic_run import TrafficRun
from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.records import CrmEvent, Position
from runbook.waiting import watch

T = TypeVar("T")

EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSeen:
    """All events since the baseline, and by topic and id those of the run: more than one was produced again."""

    every: tuple[CrmEvent, ...]
    found: Mapping[Key, Sequence[CrmEvent]]
    first: dict[Position, int] = field(default_factory=dict)
    """The offset from which each partition was read."""

    @property
    def own(self) -> dict[Key, CrmEvent]:
        """The first event of each entity."""
        return {key: of_it[0] for key, of_it in self.found.items()}

    @property
    def ours(self) -> tuple[CrmEvent, ...]:
        """Every event of the run, also those that came again."""
        return tuple(one for of_it in self.found.values() for one in of_it)

    def since(self, at: datetime) -> tuple[CrmEvent, ...]:
        """Return the events of others since a time, by the broker's clock, and all of the run."""
        own = {place_of(event) for event in self.own.values()}
        return tuple(event for event in self.every if produced_at(event) >= at or place_of(event) in own)


def another_stack(target: Target, sent: TrafficRun) -> RunbookError | None:
    """Return what shows that Kafka is not the one of the run, or lost what it held before the run; None: it is not so.

    Nothing of the run can come here then, at any hop. Raises RunbookError if Kafka cannot be read.
    """
    topics = (target.kafka.lead_topic, target.kafka.job_topic)
    with Kafka(target.kafka) as kafka:
        now, ends = kafka.metadata().cluster_id, kafka.end_offsets(topics)
    before = sent.baseline.cluster_id
    if before and now and before != now:
        return _gone(target, f"Run {sent.run_id} was made on Kafka cluster {before}, and this is cluster {now}")
    for place in sent.baseline.end_offsets or ():
        end = ends.get((place.topic, place.partition), 0)
        if end < place.offset:
            name = f"{place.topic}/{place.partition}"
            seen = f"{name} ended at offset {place.offset} before run {sent.run_id}, and ends at {end} now"
            return _gone(target, f"{seen}: Kafka has lost its log, or the topic was made again")
    return None


def _gone(target: Target, seen: str) -> RunbookError:
    return RunbookError(seen, where=f"Kafka at {target.kafka.bootstrap}", fix=f"{inv('traffic')}, then {inv('verify')}")


def kafka_events(target: Target, sent: TrafficRun, timeout_s: float) -> StepOutput[EventsSeen]:
    """Find the event of every entity; some may still be in ApexFlow's outbox."""

    def look() -> tuple[EventsSeen, bool]:
        every, first = events_since(target, sent, timeout_s)
        found = events_of(sent.created, every)
        return EventsSeen(every=every, found=found, first=first), len(found) == len(sent.created)

    seen, is_complete = watch(look, deadline_s=timeout_s, every_s=EVERY_S)
    again = sum(map(len, seen.found.values())) - len(seen.found)
    saw = (
        f"{len(seen.found)} of {len(sent.created)} events of this run, {f'{again} more of them, ' if again else ''}"
        f"{len(seen.every) - len(seen.found) - again} other events since its baseline"
    )
    return looked(
        seen, is_complete and not again, saw, source=f"Kafka at {target.kafka.bootstrap}", fix=inv("troubleshoot")
    )


def events_since(
    target: Target, sent: TrafficRun, timeout_s: float, *, below: Mapping[Position, int] | None = None
) -> tuple[tuple[CrmEvent, ...], dict[Position, int]]:
    """Return every event of both topics since the baseline of the run, and the offsets from which they were read.

    Those are lower where `below` says so. Raises RunbookError where Kafka no longer holds the first of them: they are
    not lost, but can no longer be shown.
    """
    topics = (target.kafka.lead_topic, target.kafka.job_topic)
    with Kafka(target.kafka) as kafka:
        starts, ends = kafka.start_offsets(topics), kafka.end_offsets(topics)
        known = {place: sent.first_offset(*place) for place in ends}
        first = {place: starts[place] if offset is None else offset for place, offset in known.items()}
        first |= {place: min(first[place], offset) for place, offset in (below or {}).items() if place in first}
        between = {place: (first[place], end) for place, end in ends.items()}
        return kafka.events(between, deadline_s=timeout_s), first


def looked(value: T, is_complete: bool, saw: str, *, source: str, fix: str) -> StepOutput[T]:
    """Return the end of a look: complete, or what it came to when its time was over."""
    evidence = (Evidence(source=source, saw=saw),)
    return StepOutput(value=value, outcome="ok" if is_complete else "failed", reason=saw, evidence=evidence, fix=fix)
