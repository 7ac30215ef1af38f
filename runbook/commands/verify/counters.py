"""The looks at the sink's counters, on its own page and in Prometheus: they account for every event, exactly."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from runbook.commands.task_run import StepOutput
from runbook.commands.verify.events import EVERY_S, EventsSeen, events_since
from runbook.commands.verify.reached import sink_has_ended
from runbook.conservation.own_events import CLOCK_TOLERANCE, Key
from runbook.conservation.run_sums import RunSums, run_sums, sums_without_positions, unread_sums
from runbook.conservation.segments import restarted
from runbook.conservation.snapshot import POSITION, Snapshot, sampled_snapshots, snapshot_of_page
from runbook.conservation.traffic_run import TrafficRun
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

Chains = Sequence[Sequence[Snapshot]]
"""The snapshots of each instance in order of time."""

_SCRAPED_WITHIN = timedelta(minutes=5)
_COUNTED_WITHIN = timedelta(hours=1)
_MARGIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsSeen:
    """A counter's sums and the page they come from.

    Every event is counted by `at`; `first_at` says of some that they were counted earlier already.
    """

    sums: tuple[LedgerSum, ...]
    at: datetime
    notes: tuple[str, ...] = ()
    page: SinkPage | None = None
    first_at: dict[Key, datetime] = field(default_factory=dict)


def sink_counts(
    target: Target, sent: TrafficRun, events: EventsSeen | None, runtime: Runtime, timeout_s: float
) -> StepOutput[CountsSeen]:
    """Read the sink's page until its counters account for every event since the baseline.

    A page that has forgotten the run, because the sink was restarted, is known by its scrapes of before.
    """
    sink = Sink(target.sink, answer_s(timeout_s))
    pages: list[SinkPage] = []
    scraped = tuple(_instances(target, sent, timeout_s).values())
    is_only = len(scraped) == 1

    def read() -> Chains:
        pages[:] = [sink.page()]
        page, before = snapshot_of_page(pages[0]), sent.baseline.page
        if before is None:
            return [[page]]
        known = (
            [one for one in scraped[0] if before.at < one.at < page.at] if is_only and restarted(before, page) else []
        )
        return [[before, *known, page]]

    source = f"GET {target.sink.metrics_url}"
    closing = _Closing(target=target, sent=sent, runtime=runtime, timeout_s=timeout_s, instances=len(scraped))
    counts = closing.counts("sink", read, events)
    return _counted(replace(counts, page=pages[0]), source)


def prometheus_counts(
    target: Target, sent: TrafficRun, events: EventsSeen | None, runtime: Runtime, timeout_s: float
) -> StepOutput[CountsSeen]:
    """Read Prometheus's samples until they account for every event since the baseline."""
    prometheus = Prometheus(target.prometheus, answer_s(timeout_s))
    job = target.prometheus.job

    end = sent.ended_at + _COUNTED_WITHIN

    def read() -> Chains:
        """Return the scrapes of every instance, from the last one before the run on.

        Those of a sink without positions begin with what the baseline had.
        """
        until = min(datetime.now(UTC), end)
        window_s = (until - sent.baseline.at + _SCRAPED_WITHIN).total_seconds()
        scrapes = sampled_snapshots(prometheus, job=job, window_s=window_s, at=until)
        if not scrapes:
            raise RunbookError(
                f"Prometheus holds no sample of job {job} from the time of the run",
                where=f"{target.prometheus.url}/api/v1/query",
                fix=inv("troubleshoot --hop prometheus"),
            )
        chains = [_since(sent.baseline.at, one) for one in scrapes.values()]
        if any(one.positions for chain in chains for one in chain) or len(chains) > 1 or not sent.baseline.sampled:
            return chains
        return [[sent.baseline.sampled, *(one for one in chains[0] if one.at > sent.baseline.at)]]

    closing = _Closing(target=target, sent=sent, runtime=runtime, timeout_s=timeout_s, reads_until=end)
    counts = closing.counts("Prometheus", read, events)
    first = _first_scrapes(prometheus, job, sent, events) if events else {}
    source = f'GET {target.prometheus.url}/api/v1/query {{job="{job}"}}'
    return _counted(replace(counts, first_at=first), source)


def _instances(target: Target, sent: TrafficRun, timeout_s: float) -> Mapping[str, Sequence[Snapshot]]:
    """Return the scrapes of each instance of the sink since the run began; none where Prometheus cannot say."""
    window_s = (datetime.now(UTC) - sent.baseline.at + _SCRAPED_WITHIN).total_seconds()
    with suppress(RunbookError):
        prometheus = Prometheus(target.prometheus, answer_s(timeout_s))
        return sampled_snapshots(prometheus, job=target.prometheus.job, window_s=window_s)
    return {}


def _since(at: datetime, scrapes: Sequence[Snapshot]) -> Sequence[Snapshot]:
    """Return the scrapes from the last one before a time on; of a sink with positions, from the last that shows any."""
    has_positions = any(one.positions for one in scrapes)
    before = [number for number, one in enumerate(scrapes) if one.at <= at and (one.positions or not has_positions)]
    return scrapes[before[-1] if before else 0 :]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Closing:
    """Reads a counter until every event of the run is counted and every sum closes, or the time is over.

    What is read ends at `reads_until`, if that is given: after that nothing changes. `instances` are those of the sink
    that Prometheus has seen since the run began, 0 where it cannot say; None: those that are read.
    """

    target: Target
    sent: TrafficRun
    runtime: Runtime
    timeout_s: float
    reads_until: datetime | None = None
    instances: int | None = None

    def counts(self, source: str, read: Callable[[], Chains], events: EventsSeen | None) -> CountsSeen:
        def look() -> tuple[CountsSeen, bool]:
            chains = read()
            found = self._closed(source, chains, events)
            at = max(chain[-1].at for chain in chains)
            notes = (*found.notes, *found.late)
            is_over = found.is_closed or not found.may_close or sink_has_ended(self.runtime, self.target)
            return CountsSeen(sums=found.sums, notes=notes, at=at), is_over

        is_past = self.reads_until is not None and datetime.now(UTC) > self.reads_until
        return watch(look, deadline_s=0 if is_past else self.timeout_s, every_s=EVERY_S)[0]

    def _closed(self, source: str, chains: Chains, events: EventsSeen | None) -> RunSums:
        created = self.sent.created
        if events is None:
            why = "the events in Kafka could not be read"
            return RunSums(sums=unread_sums(source, created, None), notes=(why,))
        if any(one.positions for chain in chains for one in chain):
            instances = len(chains) if self.instances is None else self.instances
            return run_sums(
                created,
                self._events_of(chains, events),
                chains,
                source=source,
                is_alone=instances <= 1,
                spans_rebalances=instances == 1,
            )
        why = self._why_not_without_positions(chains)
        if why:
            return RunSums(sums=unread_sums(source, created, events.ours), notes=(why,))
        before, after = chains[0][0], chains[0][-1]
        ends = self.sent.baseline.end_offsets or ()
        return sums_without_positions(
            created, events.every, source=source, before=before, after=after, end_offsets=ends
        )

    def _why_not_without_positions(self, chains: Chains) -> str:
        """Return why the counters of a sink that shows no positions cannot be compared; empty if they can."""
        if len(chains) > 1:
            return f"{len(chains)} instances of the sink show no positions: which events each has read is not known"
        (chain,) = chains
        first_sent = min(one.sent_at for one in self.sent.created)
        if self.sent.baseline.end_offsets is None or chain[0].at > first_sent:
            return "it was not read before the run"
        if len(chain) == 1:
            return "" if chain[0] is self.sent.baseline.sampled else "it was not read before the run"
        restarted_at = self._restarted_at()
        if restarted_at and None in {chain[0].started_s, chain[-1].started_s}:
            return f"the sink, which shows no positions, was restarted at {moment(restarted_at)}"
        for before, after in pairwise(chain):
            why = restarted(before, after)
            if why:
                return f"{why} before {moment(after.at)}, and it shows no positions"
        return ""

    def _restarted_at(self) -> datetime | None:
        """Return when the sink was started, if that was after the baseline."""
        try:
            started_at = self.runtime.state(self.target.sink.as_service).started_at
        except RunbookError:
            return None
        return started_at if started_at and started_at > self.sent.baseline.at else None

    def _events_of(self, chains: Chains, events: EventsSeen) -> tuple[CrmEvent, ...]:
        """Return every event between the first and the newest positions; Kafka was read for a part of that, maybe."""
        ends = dict(events.first)
        for event in events.every:
            place = (event.topic, event.partition)
            ends[place] = max(ends.get(place, 0), event.offset + 1)
        known = [one for chain in chains for one in chain if one.positions]
        below: dict[tuple[str, int], int] = {}
        is_known = True
        for position in (position for one in known for position in one.positions):
            place = (position.topic, position.partition)
            below[place] = min(position.offset, below.get(place, position.offset))
            is_known &= events.first.get(place, 0) <= below[place] and position.offset <= ends.get(place, 0)
        return events.every if is_known else events_since(self.target, self.sent, self.timeout_s, below=below)[0]


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


def _counted(seen: CountsSeen, source: str) -> StepOutput[CountsSeen]:
    outcomes = {total.outcome for total in seen.sums}
    saw = "; ".join(
        f"{total.topic}: {total.ours} ours + {_shown(total.others)} others, counted {_shown(total.delta)}"
        for total in seen.sums
    )
    notes = tuple(Evidence(source=source, saw=note) for note in seen.notes)
    evidence = (Evidence(source=source, saw=saw), *notes)
    if "failed" in outcomes:
        return StepOutput(value=seen, outcome="failed", reason=saw, evidence=evidence, fix=inv("troubleshoot"))
    if "not_checked" in outcomes:
        why = "; ".join(seen.notes) or saw
        fix = f"{inv('traffic')}, then {inv('verify')}"
        return StepOutput(value=seen, outcome="not_checked", reason=why, evidence=evidence, fix=fix)
    return StepOutput(value=seen, outcome="ok", reason=saw, evidence=evidence)


def _shown(figure: int | None) -> str:
    return "not read" if figure is None else str(figure)
