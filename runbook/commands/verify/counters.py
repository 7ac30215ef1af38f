"""The looks at the sink's counters, on its own page and in Prometheus: they account for every event, exactly."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from runbook.commands.task_run import StepOutput
from runbook.commands.traffic.counter_snapshot import POSITION, Snapshot, sampled_snapshot, snapshot_of_page
from runbook.commands.traffic.traffic_run import TrafficRun
from runbook.commands.verify.events import EVERY_S, EventsSeen, events_since, sink_service
from runbook.commands.verify.ledger import CLOCK_TOLERANCE, Key, covers, sums, unread_sums
from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.model import Evidence, LedgerSum
from runbook.settings import Target
from runbook.systems.http import answer_s
from runbook.systems.kafka.records import CrmEvent
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Runtime
from runbook.systems.sink.client import Sink, SinkPage
from runbook.waiting import watch
from runbook.wording import moment

_SCRAPED_WITHIN = timedelta(minutes=5)
_MARGIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsSeen:
    """A counter's sums and the page they come from.

    Every event is counted by `at`; `first_at` says of some that they were counted earlier already.
    """

    sums: tuple[LedgerSum, ...]
    at: datetime
    page: SinkPage | None = None
    first_at: dict[Key, datetime] = field(default_factory=dict)


def sink_counts(
    target: Target, sent: TrafficRun, events: EventsSeen | None, runtime: Runtime, timeout_s: float
) -> StepOutput[CountsSeen]:
    """Read the sink's page until its counters account for every event since the baseline."""
    sink = Sink(target.sink, answer_s(timeout_s))
    pages: list[SinkPage] = []

    def read() -> Snapshot:
        pages[:] = [sink.page()]
        return snapshot_of_page(pages[0])

    source = f"GET {target.sink.metrics_url}"
    closing = _Closing(target=target, sent=sent, runtime=runtime, timeout_s=timeout_s)
    counts = closing.counts("sink", sent.baseline.page, read, events)
    return _counted(replace(counts, page=pages[0]), source, closing)


def prometheus_counts(
    target: Target, sent: TrafficRun, events: EventsSeen | None, runtime: Runtime, timeout_s: float
) -> StepOutput[CountsSeen]:
    """Read Prometheus's samples until they account for every event since the baseline."""
    prometheus = Prometheus(target.prometheus, answer_s(timeout_s))
    job = target.prometheus.job

    def read() -> Snapshot:
        found = sampled_snapshot(prometheus, job=job)
        if found is None:
            raise RunbookError(
                f"Prometheus holds no fresh sample of job {job}",
                where=f"{target.prometheus.url}/api/v1/query",
                fix=inv("troubleshoot --hop prometheus"),
            )
        return found

    closing = _Closing(target=target, sent=sent, runtime=runtime, timeout_s=timeout_s)
    counts = closing.counts("Prometheus", sent.baseline.sampled, read, events)
    first = _first_scrapes(prometheus, job, sent, events) if events else {}
    source = f'GET {target.prometheus.url}/api/v1/query {{job="{job}"}}'
    return _counted(replace(counts, first_at=first), source, closing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Closing:
    """Reads a counter until every event of the run is counted and every sum closes, or the time is over."""

    target: Target
    sent: TrafficRun
    runtime: Runtime
    timeout_s: float

    def counts(
        self, source: str, before: Snapshot | None, read: Callable[[], Snapshot], events: EventsSeen | None
    ) -> CountsSeen:
        if before is None or events is None or self.restarted_at() is not None:
            return CountsSeen(sums=unread_sums(source, self.sent.created), at=read().at)

        def look() -> tuple[CountsSeen, bool]:
            after = read()
            closed = sums(
                self.sent.created,
                self._events_up_to(after, events),
                source=source,
                before=before,
                after=after,
                end_offsets=self.sent.baseline.end_offsets or (),
            )
            is_complete = covers(after, events.own.values()) and all(total.outcome == "ok" for total in closed)
            return CountsSeen(sums=closed, at=after.at), is_complete

        return watch(look, deadline_s=self.timeout_s, every_s=EVERY_S)[0]

    def restarted_at(self) -> datetime | None:
        """Return when the sink was started, if that was after the baseline: its counters began at 0 again."""
        try:
            started_at = self.runtime.state(sink_service(self.target)).started_at
        except RunbookError:
            return None
        return started_at if started_at and started_at > self.sent.baseline.at else None

    def _events_up_to(self, after: Snapshot, events: EventsSeen) -> tuple[CrmEvent, ...]:
        """Return every event below a snapshot's positions; others may have produced since Kafka was read."""
        ends: dict[tuple[str, int], int] = {}
        for event in events.every:
            place = (event.topic, event.partition)
            ends[place] = max(ends.get(place, 0), event.offset + 1)
        places = ((place.topic, place.partition, place.offset) for place in after.positions)
        is_known = all(
            offset <= ends.get((topic, number), self.sent.first_offset(topic, number) or 0)
            for topic, number, offset in places
        )
        return events.every if is_known else events_since(self.target, self.sent, self.timeout_s)


def _first_scrapes(prometheus: Prometheus, job: str, sent: TrafficRun, events: EventsSeen) -> dict[Key, datetime]:
    """Return, per event, the time of the first scrape whose position had passed it."""
    end = min(datetime.now(UTC), sent.ended_at + _SCRAPED_WITHIN)
    window_s = (end - sent.started_at + _MARGIN).total_seconds()
    scrapes: dict[tuple[str, str], list[tuple[datetime, float]]] = {}
    for series in prometheus.samples(f'{POSITION}{{job="{job}"}}', window_s=window_s, at=end):
        place = (series.labels.get("topic", ""), series.labels.get("partition", ""))
        scrapes.setdefault(place, []).extend(series.samples)
    first = {}
    since = sent.started_at - CLOCK_TOLERANCE
    for key, event in events.own.items():
        samples = scrapes.get((event.topic, str(event.partition)), [])
        times = [at for at, value in samples if value > event.offset and at >= since]
        if times:
            first[key] = min(times)
    return first


def _counted(seen: CountsSeen, source: str, closing: _Closing) -> StepOutput[CountsSeen]:
    restarted_at = closing.restarted_at()
    if restarted_at:
        saw = f"the sink was started at {moment(restarted_at)}, after the baseline: its counters began at 0 again"
        evidence = (Evidence(source=source, saw=saw),)
        return StepOutput(value=seen, outcome="not_checked", reason=f"not checked: {saw}", evidence=evidence)
    saw = "; ".join(
        f"{total.topic}: {total.ours} ours + {_shown(total.others)} others, counted {_shown(total.delta)}"
        for total in seen.sums
    )
    outcomes = {total.outcome for total in seen.sums}
    evidence = (Evidence(source=source, saw=saw),)
    if "not_checked" in outcomes and "failed" not in outcomes:
        return StepOutput(value=seen, outcome="not_checked", reason=f"not checked: {saw}", evidence=evidence)
    return StepOutput(value=seen, outcome="failed" if "failed" in outcomes else "ok", reason=saw, evidence=evidence)


def _shown(figure: int | None) -> str:
    return "not read" if figure is None else str(figure)
