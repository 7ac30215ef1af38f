"""The boundaries of the flow, read passively: nothing is created, and nobody's group is joined.

Prometheus is the only memory of where the sink was: its samples hold counters and positions of each scrape. The end is
the sink's own page, which is an equality of its own. What Prometheus does not remember is not checked.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from runbook.conservation.arithmetic import (
    NO_RUN,
    Segment,
    api_to_kafka,
    kafka_to_sink,
    passed,
    prometheus_to_grafana,
    segments,
    sink_to_prometheus,
    trusted,
    unread,
)
from runbook.conservation.boundary import Boundary, Flow, added
from runbook.conservation.snapshot import Snapshot, sampled_snapshots, shown_partitions, snapshot_of_page
from runbook.conservation.traffic_run import newest_traffic_run
from runbook.diagnosis.checks import grafana as grafana_hop
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels
from runbook.files.our_panels import present
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.records import CrmEvent, Position
from runbook.waiting import watch

WINDOW_S: Final = 900.0
MOST_OFFSETS: Final = 50_000
"""Read at most: a busy topic is judged by its newest slice."""

_BY_TOPIC: Final = 20
_FRESH_INTERVALS: Final = 2.5
_PANEL_S: Final = 300.0
_SETTLED_S: Final = 10.0
_AGAIN_S: Final = 2.0


@Fact
def sampled(facts: Facts) -> Mapping[str, tuple[Snapshot, ...]]:
    """Return what Prometheus remembers of the sink, by instance and scrape."""
    job = facts.target.prometheus.job
    return facts.ask_prometheus(lambda one: sampled_snapshots(one, job=job, window_s=WINDOW_S))


@Fact
def api_kafka(facts: Facts) -> Boundary:
    """Return API to Kafka, of the newest run of this tool that created something; without one nothing crossed it."""
    name = "API to Kafka"
    run = newest_traffic_run(facts.state_dir, target=facts.target.name)
    if run is None:
        return Boundary(name=name, quiet=NO_RUN)
    cluster_id = facts.ask_kafka(Kafka.metadata).cluster_id
    if run.baseline.cluster_id and cluster_id and run.baseline.cluster_id != cluster_id:
        return Boundary(name=name, quiet=f"the newest run, {run.run_id}, was made on another Kafka cluster")
    topics = tuple(sorted({one.topic for one in run.created}))
    starts = facts.ask_kafka(lambda kafka: kafka.start_offsets(topics))
    ends = facts.ask_kafka(lambda kafka: kafka.end_offsets(topics))
    first = {place: run.first_offset(*place) for place in ends}
    unknown = [place for place, offset in first.items() if offset is None or not starts[place] <= offset <= ends[place]]
    if unknown or not ends:
        return Boundary(name=name, why=f"Kafka no longer holds the events of run {run.run_id}")

    def look() -> tuple[Boundary, bool]:
        now = facts.ask_kafka(lambda kafka: kafka.end_offsets(topics))
        between = {place: (first[place] or 0, end) for place, end in now.items()}
        events = facts.ask_kafka(lambda kafka: kafka.events(between, deadline_s=facts.reading_s))
        found = api_to_kafka(run.created, events)
        return found, found.outcome == "ok"

    return facts.until(look)


@Fact
def kafka_sink(facts: Facts) -> Boundary:
    """Return Kafka to sink, from the newest traffic run, or the oldest scrape that is remembered, to the page now."""
    name = "Kafka to sink"
    with suppress(RunbookError):  # said below, if it is needed; the page must be newer than what is remembered
        sampled(facts)
    page = snapshot_of_page(facts.page_now())
    if not page.positions:
        return Boundary(name=name, why="the sink's page shows no positions: its counts cannot be compared with Kafka")
    starts = facts.ask_kafka(lambda kafka: kafka.start_offsets(_topics(page)))
    ends = facts.ask_kafka(lambda kafka: kafka.end_offsets(_topics(page)))
    page, late = _caught_up(facts, page, ends)
    past = _held(_past(facts, page, starts), facts.ask_kafka(lambda kafka: kafka.end_offsets(_topics(page))))
    if not past.segments and not late:
        return Boundary(name=name, until=page.at, why=past.why, quiet=past.quiet, notes=past.notes)
    events = _events(facts, past.segments)
    counted = (flow for one in past.segments for flow in kafka_to_sink(one, events))
    flows = added([*counted, *map(_not_counted, late)])
    return Boundary(
        name=name,
        flows=flows,
        since=min((one.before.at for one in past.segments), default=None),
        until=page.at,
        places=_places(flows, past.segments, events, late),
        notes=past.notes,
    )


@Fact
def sink_prometheus(facts: Facts) -> Boundary:
    """Return sink to Prometheus: the newest scrape against the page, taken back to the position of that scrape."""
    name = "sink to Prometheus"
    remembered = sampled(facts)
    page = snapshot_of_page(facts.page_now())  # newer than any of the scrapes
    if not page.positions:
        return Boundary(name=name, why="the sink's page shows no positions: a scrape cannot be compared with it")
    interval_s = max((one.scrape_interval_s for one in facts.targets()), default=0.0)
    oldest = facts.now() - timedelta(seconds=_FRESH_INTERVALS * interval_s)
    shown = facts.ask_prometheus(lambda prometheus: shown_partitions(prometheus, since=oldest))
    twice = {place: by for place, by in shown.items() if len(by) > 1 and place in page.partitions}
    if twice:
        return _doubled(name, page, twice)
    fresh = [
        usable[-1]
        for snapshots in remembered.values()
        if (usable := [one for one in snapshots if one.positions and one.partitions <= page.partitions])
        and usable[-1].at >= oldest
    ]
    mine = max(fresh, key=lambda one: len(one.partitions), default=None)
    if mine is None:
        return Boundary(name=name, why="Prometheus holds no fresh scrape with the positions of this sink")
    segment = Segment(before=mine, after=page)
    ends = facts.ask_kafka(lambda kafka: kafka.end_offsets(_topics(page)))
    if not _held(_Past(segments=(segment,)), ends).segments:
        return Boundary(name=name, quiet="Kafka holds less than the sink has passed: its topics were made again since")
    if (mine.started_s, mine.assignments) != (page.started_s, page.assignments):
        return Boundary(
            name=name, why=f"the sink was restarted, or its partitions changed, since {mine.at:%H:%M:%S} UTC"
        )
    return Boundary(
        name=name,
        flows=sink_to_prometheus(page, mine, _events(facts, [segment])),
        since=mine.at,
        until=page.at,
    )


@Fact
def prometheus_grafana(facts: Facts) -> Boundary:
    """Return Prometheus to Grafana: panel 20's own query, put to both with the same start, end and step."""
    name = "Prometheus to Grafana"
    expressions = tuple(str(one.get("expr", "")) for one in panel_targets(facts))
    if not expressions or any("$" in one for one in expressions):
        return Boundary(name=name, why="panel 20's query cannot be put to Prometheus as it is")
    interval_s = max((one.scrape_interval_s for one in facts.targets()), default=0.0)
    end = facts.now() - timedelta(seconds=max(_SETTLED_S, _FRESH_INTERVALS * interval_s))  # younger ones may still come
    end = end.replace(microsecond=0)  # Grafana asks at whole steps of a second
    start = end - timedelta(seconds=_PANEL_S)
    uid = grafana_hop.datasource(facts).uid
    targets = [{**one, "intervalMs": 1000, "maxDataPoints": 1000} for one in panel_targets(facts)]

    def look() -> tuple[Boundary, bool]:
        found = _points(facts, expressions, targets, uid=uid, start=start, end=end)
        return found, found.outcome == "ok"

    return watch(look, deadline_s=_AGAIN_S, every_s=_AGAIN_S / 2)[0]  # a difference of the past stays


def _points(
    facts: Facts,
    expressions: Sequence[str],
    targets: Sequence[Mapping[str, Any]],
    *,
    uid: str,
    start: datetime,
    end: datetime,
) -> Boundary:
    """Ask Grafana, and then Prometheus at the very steps that Grafana has answered for."""
    shown = facts.ask_grafana(lambda one: one.query(targets, datasource_uid=uid, start=start, end=end))
    times = sorted({at for one in shown for at in one.times})
    step_s = min(((b - a).total_seconds() for a, b in pairwise(times)), default=1.0)
    first, last = (times[0], times[-1]) if times else (start, end)
    asked = facts.ask_prometheus(
        lambda one: tuple(
            series for expr in expressions for series in one.range(expr, start=first, end=last, step_s=step_s)
        )
    )
    return Boundary(
        name="Prometheus to Grafana",
        flows=prometheus_to_grafana(asked, shown),
        since=first,
        until=last,
        notes=("points of panel 20's query",),
    )


def panel_targets(facts: Facts) -> tuple[Mapping[str, Any], ...]:
    """Return the queries of panel 20 as Grafana serves it; none where it serves no such panel."""
    served = grafana_hop.dashboard(facts)
    found = present(served.panels if served else (), wanted_panels(Datasource()).panels)
    return tuple(found.get(_BY_TOPIC, {}).get("targets", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What is known of where the sink was: `why` it is not, or `quiet` where there was nothing to know."""

    segments: tuple[Segment, ...] = ()
    why: str = ""
    quiet: str = ""
    notes: tuple[str, ...] = ()


def _past(facts: Facts, page: Snapshot, starts: Mapping[Position, int]) -> _Past:
    """Return the segments up to the page: since the newest traffic run, where its record holds the page of then.

    Else from Prometheus's memory, which is only as good as what reaches it.
    """
    run = newest_traffic_run(facts.state_dir, target=facts.target.name)
    recorded = run.baseline.page if run else None
    if recorded and _is_kept(recorded, starts) and _distance(recorded, page) <= MOST_OFFSETS:
        found, _ = segments([recorded, page], is_alone=_is_alone(facts))
        if found:
            return _Past(segments=found)
    try:
        reaches = sink_prometheus(facts)
        remembered = sampled(facts)
    except RunbookError as error:
        return _Past(why=f"the past of the sink is known by Prometheus alone: {error.seen}")
    if reaches.outcome != "ok":
        return _Past(why=f"the past of the sink is known by Prometheus alone, and {reaches.why or 'that differs'}")
    return _remembered(page, remembered, starts)


def _held(past: _Past, ends: Mapping[Position, int]) -> _Past:
    """Leave out segments that end behind what Kafka holds: its log was lost, or the topic was made again since."""
    held = tuple(
        one for one in past.segments if all(end <= ends.get(place, 0) for place, (_, end) in passed(one).items())
    )
    if len(held) == len(past.segments):
        return past
    quiet = "" if held else "Kafka holds less than the sink has passed: its topics were made again since"
    return _Past(segments=held, quiet=quiet, notes=past.notes)


def _is_alone(facts: Facts) -> bool:
    """Whether Prometheus knows one instance of the sink only; if it cannot say, it may have company."""
    with suppress(RunbookError):
        return len(sampled(facts)) == 1
    return False


def _remembered(page: Snapshot, remembered: Mapping[str, Sequence[Snapshot]], starts: Mapping[Position, int]) -> _Past:
    """Return the segments of every instance, the page's own up to the page."""
    found: list[Segment] = []
    notes: list[str] = []
    is_own_missing = True
    for snapshots in remembered.values():
        usable = [one for one in trusted(snapshots) if one.positions]
        kept = _newest_slice([one for one in usable if _is_kept(one, starts)])
        if kept and is_own_missing and kept[-1].partitions == page.partitions:
            kept, is_own_missing = [*kept, page], False
        more, gaps = segments(kept, is_alone=len(remembered) == 1)
        found += more
        notes += gaps
    quiet = "" if found else "Prometheus remembers no earlier position of this sink"
    return _Past(segments=tuple(found), quiet=quiet, notes=tuple(notes))


def _is_kept(snapshot: Snapshot, starts: Mapping[Position, int]) -> bool:
    """Whether Kafka still holds what came after a snapshot."""
    return all(one.offset >= starts.get((one.topic, one.partition), 0) for one in snapshot.positions)


def _newest_slice(snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
    """Leave out the oldest snapshots where more than MOST_OFFSETS lie between them and the newest."""
    return [one for one in snapshots if _distance(one, snapshots[-1]) <= MOST_OFFSETS]


def _distance(before: Snapshot, after: Snapshot) -> int:
    return sum(abs(end - start) for start, end in passed(Segment(before=before, after=after)).values())


def _caught_up(facts: Facts, page: Snapshot, ends: Mapping[Position, int]) -> tuple[Snapshot, tuple[CrmEvent, ...]]:
    """Wait until the sink has passed what Kafka held at the start; return its page then, and what it has not passed."""

    def look() -> tuple[Snapshot, bool]:
        now = snapshot_of_page(facts.page_now())
        return now, now.partitions != page.partitions or not _behind(now, ends)

    now = facts.until(look) if _behind(page, ends) else page
    behind = _behind(now, ends)
    if not behind:
        return now, ()
    between = {place: (max(start, end - MOST_OFFSETS), end) for place, (start, end) in behind.items()}
    events = facts.ask_kafka(lambda kafka: kafka.events(between, deadline_s=facts.reading_s))
    return now, unread(now, ends, events)


def _behind(page: Snapshot, ends: Mapping[Position, int]) -> dict[Position, tuple[int, int]]:
    return {
        (one.topic, one.partition): (one.offset, end)
        for one in page.positions
        if one.offset < (end := ends.get((one.topic, one.partition), 0))
    }


def _not_counted(event: CrmEvent) -> Flow:
    return Flow(topic=event.topic, tenant_id=event.content.tenant_id, entered=1, left=0)


def _events(facts: Facts, chosen: Sequence[Segment]) -> tuple[CrmEvent, ...]:
    between: dict[Position, tuple[int, int]] = {}
    for segment in chosen:
        for place, (start, end) in passed(segment).items():
            known = between.get(place, (start, end))
            between[place] = (min(start, known[0]), max(end, known[1]))
    return facts.ask_kafka(lambda kafka: kafka.events(between, deadline_s=facts.reading_s)) if between else ()


def _places(
    flows: Iterable[Flow], chosen: Sequence[Segment], events: Sequence[CrmEvent], late: Sequence[CrmEvent]
) -> tuple[str, ...]:
    """Say where what is missing was: offset by offset where nothing of a tenant was counted, else between which."""
    wrong = [flow for flow in flows if flow.difference]
    gone = {(flow.topic, flow.tenant_id) for flow in wrong if not flow.left}
    passed_by = [one for one in events if (one.topic, one.content.tenant_id) in gone]
    exact = tuple(f"{one.topic}/{one.partition}@{one.offset}" for one in (*passed_by, *late))
    counted = {flow.topic for flow in wrong if flow.left}
    return exact + tuple(
        f"{topic}/{partition}@{start}-{end - 1}"
        for segment in chosen
        for (topic, partition), (start, end) in sorted(passed(segment).items())
        if topic in counted and end > start
    )


def _doubled(name: str, page: Snapshot, twice: Mapping[Position, frozenset[str]]) -> Boundary:
    """Return what a panel counts of the partitions that several targets show at the same time."""
    times = max(map(len, twice.values()))
    topics = {topic for topic, _ in twice}
    flows = (
        Flow(topic=one.topic, tenant_id=one.tenant_id, entered=round(one.value), left=round(one.value) * times)
        for one in page.counts
        if one.topic in topics
    )
    return Boundary(
        name=name, flows=tuple(flows), until=page.at, places=tuple(sorted(frozenset().union(*twice.values())))
    )


def _topics(page: Snapshot) -> tuple[str, ...]:
    return tuple(sorted({topic for topic, _ in page.partitions}))
