"""The looks at the sink's counters, on its own page and in Prometheus: they account for every event, exactly."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runbook.commands.task_run import StepOutput
from runbook.commands.verify.closing import Chains, Closing, CountsSeen
from runbook.commands.verify.events import EVERY_S, EventsSeen
from runbook.conservation.own_events import CLOCK_TOLERANCE, Key
from runbook.conservation.segments import restarted
from runbook.conservation.snapshot import POSITION, Snapshot, sampled_snapshots, snapshot_of_page
from runbook.conservation.traffic_run import TrafficRun
from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.http import answer_s
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Runtime
from runbook.systems.sink.client import Sink, SinkPage
from runbook.waiting import watch

_SCRAPED_WITHIN = timedelta(minutes=5)
_COUNTED_WITHIN = timedelta(hours=1)
_MARGIN = timedelta(seconds=30)


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
    closing = Closing(target=target, sent=sent, runtime=runtime, timeout_s=timeout_s, instances=len(scraped))
    counts = closing.counts("sink", read, events)
    return _counted(replace(counts, page=_with_partitions(sink, pages[0], timeout_s)), source)


def _with_partitions(sink: Sink, page: SinkPage, timeout_s: float) -> SinkPage:
    """Return the page; of a sink that was started a moment ago, once it has its partitions: it shows nothing before."""

    def look() -> tuple[SinkPage, bool]:
        now = sink.page()
        return now, not now.is_joining

    return watch(look, deadline_s=timeout_s, every_s=EVERY_S)[0] if page.is_joining else page


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

    closing = Closing(target=target, sent=sent, runtime=runtime, timeout_s=timeout_s, reads_until=end)
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
