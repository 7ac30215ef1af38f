"""The look at the sink's log: a line for every event of the run, or why there can be none."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from runbook.commands.task_run import StepOutput
from runbook.commands.verify.events import EVERY_S, EventsSeen
from runbook.commands.verify.reached import sink_has_ended
from runbook.conservation.ledger import Received, log_sights, received_lines
from runbook.conservation.own_events import CLOCK_TOLERANCE, Key, place_of
from runbook.conservation.traffic_run import TrafficRun
from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.model import Evidence, Sight
from runbook.settings import Target
from runbook.systems.kafka.records import CrmEvent
from runbook.systems.runtime import Runtime
from runbook.systems.sink.client import Sink
from runbook.waiting import watch
from runbook.wording import counted, moment

_ANSWER_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesSeen:
    """The sink's lines on the events of a run. `why` is not empty where a line may be missing without a fault."""

    lines: tuple[Received, ...]
    why: str = ""
    begins_at: datetime | None = None
    """From when on the log has lines, where that was looked for."""

    def tells_of(self, at: datetime | None) -> bool:
        """Whether a line on an event of that time must be in the log."""
        begins_at = self.begins_at + CLOCK_TOLERANCE if self.begins_at else None
        return not self.why or (at is not None and begins_at is not None and at > begins_at)


def log_since(sent: TrafficRun) -> datetime:
    """Return the time from which lines of the log can tell of events of the run."""
    return sent.started_at - CLOCK_TOLERANCE


def sink_lines(
    target: Target, sent: TrafficRun, events: EventsSeen | None, runtime: Runtime, timeout_s: float
) -> StepOutput[LinesSeen]:
    """Find the sink's line for every event of the run; without the events, as many lines as there should be.

    What Kafka does not hold, and what a sink that has ended did not write, is not waited for. A line that is older than
    its event may be that of another one, as long as younger ones may come.
    """
    service, since = target.sink.as_service, log_since(sent)
    wanted = len(sent.created)
    began = datetime.now(UTC)

    def look() -> tuple[tuple[Received, ...], bool]:
        lines = received_lines(runtime.log(service, since=since))
        own = tuple(line for line in lines if line.tenant_id in sent.tenants and line.at >= since)
        if events is None:
            return own, len(own) >= wanted or sink_has_ended(runtime, target)
        tolerance = CLOCK_TOLERANCE if datetime.now(UTC) - began > CLOCK_TOLERANCE else timedelta()
        return own, not _without_line(events, own, since, tolerance) or sink_has_ended(runtime, target)

    lines, _ = watch(look, deadline_s=timeout_s, every_s=EVERY_S)
    missing = max(0, wanted - len(lines)) if events is None else len(_without_line(events, lines, since))
    missing += 0 if events is None else wanted - len(events.own)
    saw = f"{counted(len(lines), 'line')} for {counted(wanted, 'event')}" + (
        f", first: {lines[0].text}" if lines else ""
    )
    seen = LinesSeen(lines=lines)
    if missing:
        why, begins_at = why_incomplete(runtime, target, since=sent.started_at)
        if not why and events is not None and len(events.own) == wanted:
            why = _why_elsewhere(target, events, _without_line(events, lines, since))
        seen = LinesSeen(lines=lines, why=why, begins_at=begins_at)
    return lines_output(seen, bool(missing), saw, source=runtime.log_command(service))


def _why_elsewhere(target: Target, events: EventsSeen, without: Sequence[Key]) -> str:
    """Return that this sink does not own the partitions of as many events now as lines are missing; else empty.

    A line names no id, so which of the events of a type and tenant it belongs to is not known.
    """
    try:
        with closing(Sink(target.sink, _ANSWER_S)) as sink:
            owned = sink.page().next_offsets.keys()
    except RunbookError:
        return ""
    others = [event for event in events.own.values() if (event.topic, event.partition) not in owned]
    lacking = Counter(_told(events.own[key]) for key in without)
    if not owned or lacking - Counter(map(_told, others)):
        return ""
    places = sorted({(event.topic, event.partition) for event in others if _told(event) in lacking})
    named = ", ".join(f"{topic}/{partition}" for topic, partition in places)
    return f"this sink does not own {named} any more: another one may have read it, and have the lines in its log"


def _told(event: CrmEvent) -> tuple[str, str]:
    return event.content.event_type, event.content.tenant_id


def lines_output(seen: LinesSeen, is_missing: bool, saw: str, *, source: str) -> StepOutput[LinesSeen]:
    """Return the end of the look at the log."""
    evidence = (Evidence(source=source, saw=f"{saw}; {seen.why}" if seen.why else saw),)
    if not is_missing:
        return StepOutput(value=seen, outcome="ok", reason=saw, evidence=evidence)
    outcome: Sight = "not_checked" if seen.why else "failed"
    fix = f"{inv('traffic')}, then {inv('verify')} while the log still holds the lines"
    if not seen.why:
        fix = f"{source}: the sink writes such a line unless SINK_LOG_EVENTS is none; else {inv('troubleshoot')}"
    reason = f"{saw}; {seen.why}" if seen.why else saw
    return StepOutput(value=seen, outcome=outcome, reason=reason, evidence=evidence, fix=fix)


def why_incomplete(runtime: Runtime, target: Target, *, since: datetime) -> tuple[str, datetime | None]:
    """Return why the log need not hold every line since a time, and from when on it does; empty where it must.

    A sink that is killed writes no more what it has counted last.
    """
    service = target.sink.as_service
    lines = runtime.log(service)
    started_at, is_stopped = None, False
    with suppress(RunbookError):
        state = runtime.state(service)
        started_at, is_stopped = state.started_at, state.is_stopped
    is_younger = started_at is not None and started_at > since
    cause = f"the sink was started at {moment(started_at)}" if started_at and is_younger else "it was rotated"
    if is_stopped:
        return f"{'' if lines else 'the log is empty, and '}the sink does not run: it may not have read them yet", None
    if not lines:
        return (f"the log is empty: {cause}", started_at) if is_younger else ("", None)
    begins_at = lines[0].at
    if begins_at is None or begins_at <= since:  # a line without a time is the beginning of a file that is never cut
        return (f"{cause}, and one that is killed loses its last lines", started_at) if is_younger else ("", None)
    return f"the log begins at {moment(begins_at)}, after {moment(since)}: {cause}", begins_at


def _without_line(
    events: EventsSeen, lines: Sequence[Received], since: datetime, tolerance: timedelta = CLOCK_TOLERANCE
) -> list[Key]:
    own = [place_of(event) for event in events.own.values()]
    sights = log_sights(events.since(since), lines, own=own, tolerance=tolerance)
    return [key for key, event in events.own.items() if sights[place_of(event)].outcome != "ok"]
