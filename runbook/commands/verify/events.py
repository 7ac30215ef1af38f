"""One look per hop for `verify`: wait for the events of a run to arrive there, and return what was seen.

A look waits until it is complete or its time is over, and returns its evidence either way. What it cannot read at
all it raises, and the frame notes the hop as not checked.
Counters and panels have modules of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from runbook.commands.task_run import StepOutput
from runbook.conservation.ledger import (
    CLOCK_TOLERANCE,
    Key,
    Received,
    events_of,
    log_sights,
    produced_at,
    received_lines,
)
from runbook.conservation.traffic_run import TrafficRun
from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.names import ALERT
from runbook.settings import Target
from runbook.systems.http import answer_s
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.records import CrmEvent
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Runtime, Service
from runbook.waiting import watch

T = TypeVar("T")

EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSeen:
    """All events since the baseline, and by topic and id those of the run."""

    every: tuple[CrmEvent, ...]
    own: dict[Key, CrmEvent]
    first: dict[tuple[str, int], int] = field(default_factory=dict)
    """The offset from which each partition was read."""

    def since(self, at: datetime) -> tuple[CrmEvent, ...]:
        """Return the events of others since a time, by the broker's clock, and all of the run."""
        own = {(event.topic, event.partition, event.offset) for event in self.own.values()}
        return tuple(
            event
            for event in self.every
            if produced_at(event) >= at or (event.topic, event.partition, event.offset) in own
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSeen:
    """How Prometheus has loaded the alert; None: not at all."""

    saw: str
    is_loaded: bool
    is_firing: bool


def kafka_events(target: Target, sent: TrafficRun, timeout_s: float) -> StepOutput[EventsSeen]:
    """Find the event of every entity; some may still be in ApexFlow's outbox.

    Raises RunbookError for a run that was made on another cluster: nothing of it can be there.
    """
    _refuse_another_cluster(target, sent)

    def look() -> tuple[EventsSeen, bool]:
        every, first = events_since(target, sent, timeout_s)
        own = events_of(sent.created, every)
        return EventsSeen(every=every, own=own, first=first), len(own) == len(sent.created)

    seen, is_complete = watch(look, deadline_s=timeout_s, every_s=EVERY_S)
    saw = (
        f"{len(seen.own)} of {len(sent.created)} events of this run, "
        f"{len(seen.every) - len(seen.own)} other events since its baseline"
    )
    return looked(seen, is_complete, saw, source=f"Kafka at {target.kafka.bootstrap}")


def _refuse_another_cluster(target: Target, sent: TrafficRun) -> None:
    with Kafka(target.kafka) as kafka:
        now = kafka.metadata().cluster_id
    before = sent.baseline.cluster_id
    if before and now and before != now:
        raise RunbookError(
            f"Run {sent.run_id} was made on Kafka cluster {before}, and this is cluster {now}",
            where=f"Kafka at {target.kafka.bootstrap}",
            fix=f"{inv('traffic')}, then {inv('verify')}",
        )


def events_since(
    target: Target, sent: TrafficRun, timeout_s: float, *, below: Mapping[tuple[str, int], int] | None = None
) -> tuple[tuple[CrmEvent, ...], dict[tuple[str, int], int]]:
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


def sink_lines(
    target: Target, sent: TrafficRun, events: EventsSeen | None, runtime: Runtime, timeout_s: float
) -> StepOutput[tuple[Received, ...]]:
    """Find the sink's line for every event of the run; without the events, as many lines as there should be."""
    service = sink_service(target)
    since = log_since(sent)

    def look() -> tuple[tuple[Received, ...], bool]:
        lines = received_lines(runtime.log(service, since=since))
        own = tuple(line for line in lines if line.tenant_id in sent.tenants and line.at >= since)
        if events is None:
            return own, len(own) >= len(sent.created)
        sights = log_sights(events.every, own)
        is_complete = all(sights[key].outcome == "ok" for key in events.own)
        return own, is_complete and len(events.own) == len(sent.created)

    lines, is_complete = watch(look, deadline_s=timeout_s, every_s=EVERY_S)
    saw = f"{len(lines)} lines for {len(sent.created)} events" + (f", first: {lines[0].text}" if lines else "")
    return looked(lines, is_complete, saw, source=runtime.log_command(service))


def sink_service(target: Target) -> Service:
    """Return the sink as the runtime knows it."""
    return target.sink.as_service


def log_since(sent: TrafficRun) -> datetime:
    """Return the time from which lines of the log can tell of events of the run."""
    return sent.started_at - CLOCK_TOLERANCE


def alert_rule(target: Target, timeout_s: float) -> StepOutput[AlertSeen]:
    """Find the runbook's alert among the rules that Prometheus has loaded; wait for its first evaluation."""
    prometheus = Prometheus(target.prometheus, answer_s(timeout_s))

    def look() -> tuple[AlertSeen, bool]:
        loaded = [(group.name, rule) for group in prometheus.rules() for rule in group.rules if rule.name == ALERT]
        if not loaded:
            return AlertSeen(saw=f"{ALERT} is in none of the loaded groups", is_loaded=False, is_firing=False), True
        saw = "; ".join(f"{ALERT} in group {group}: health {rule.health}, state {rule.state}" for group, rule in loaded)
        seen = AlertSeen(
            saw=saw,
            is_loaded=all(rule.health == "ok" for _, rule in loaded),
            is_firing=any(rule.state == "firing" for _, rule in loaded),
        )
        return seen, all(rule.health != "unknown" for _, rule in loaded)

    seen, _ = watch(look, deadline_s=timeout_s, every_s=EVERY_S)
    source = f"GET {target.prometheus.url}/api/v1/rules"
    return looked(seen, seen.is_loaded and not seen.is_firing, seen.saw, source=source)


def looked(value: T, is_complete: bool, saw: str, *, source: str) -> StepOutput[T]:
    """Return the end of a look: complete, or what it came to when its time was over."""
    evidence = (Evidence(source=source, saw=saw),)
    return StepOutput(value=value, outcome="ok" if is_complete else "failed", reason=saw, evidence=evidence)
