"""How far back the flow is looked at, and what Prometheus remembers of it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

from runbook.conservation.snapshot import Snapshot, sampled_snapshots, seen_instances
from runbook.conservation.traffic_run import TrafficRun, newest_traffic_run
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.records import CrmEvent, Position

WINDOW: Final = timedelta(minutes=15)
MOST_OFFSETS: Final = 50_000
"""Read at most: a busy topic is judged by its newest slice."""

LATE: Final = timedelta(seconds=2)
"""An event that was in Kafka so long before a scrape should be in it."""

FRESH_INTERVALS: Final = 2.5

Scrapes = Mapping[str, tuple[Snapshot, ...]]
"""A snapshot of each scrape, oldest first, by instance."""


@Fact
def newest_run(facts: Facts) -> TrafficRun | None:
    """Return the newest traffic run that created something; None without one, or if it is older than asked for."""
    run = newest_traffic_run(facts.state_dir, target=facts.target.name)
    return None if run and facts.since and run.started_at < facts.since else run


@Fact
def remembered(facts: Facts) -> Scrapes:
    """Return what Prometheus remembers of the sink."""
    return remembered_now(facts)


def remembered_now(facts: Facts) -> Scrapes:
    """Read once more what Prometheus remembers of the sink."""
    window_s = (facts.now() - (facts.since or facts.now() - WINDOW)).total_seconds()
    job = facts.target.prometheus.job
    return facts.ask_prometheus(lambda one: sampled_snapshots(one, job=job, window_s=window_s))


@Fact
def instances(facts: Facts) -> frozenset[str]:
    """Return the instances of the sink that Prometheus has seen since the newest run, or in the window."""
    run = newest_run(facts)
    window_s = max(WINDOW.total_seconds(), (facts.now() - run.baseline.at).total_seconds() if run else 0.0)
    job = facts.target.prometheus.job
    return facts.ask_prometheus(lambda one: seen_instances(one, job=job, window_s=window_s))


def sink_is_alone(facts: Facts) -> bool:
    """Whether Prometheus knows one instance of the sink only; if it cannot say, it may have company."""
    with suppress(RunbookError):
        return len(instances(facts)) == 1
    return False


@Fact
def clock_ahead(facts: Facts) -> timedelta:
    """Return how far Prometheus's clock is ahead of ours."""
    before = facts.now()
    told = facts.ask_prometheus(lambda one: one.query("time()"))
    if not told:
        raise RunbookError(
            "Prometheus answered the query time() without a value",
            where=f"GET {facts.target.prometheus.url}/api/v1/query",
            fix=f"check that {facts.target.prometheus.place_of('url')} is the address of a Prometheus",
        )
    return told[0].at - before - (facts.now() - before) / 2


def interval(facts: Facts) -> timedelta:
    """Return the longest scrape interval of the sink's targets."""
    return timedelta(seconds=max((one.scrape_interval_s for one in facts.targets()), default=0.0))


def fresh(facts: Facts, scrapes: Scrapes) -> Scrapes:
    """Return the instances that are scraped now."""
    oldest = facts.now() + clock_ahead(facts) - FRESH_INTERVALS * interval(facts)
    return {name: of_it for name, of_it in scrapes.items() if of_it[-1].at >= oldest}


def topics_of(facts: Facts, page: Snapshot) -> tuple[str, ...]:
    """Return the topics that count: ours, and those that the sink reads."""
    mine = facts.target.kafka
    return tuple(sorted({mine.lead_topic, mine.job_topic, *(topic for topic, _ in page.partitions)}))


def starts_and_ends(facts: Facts, topics: Iterable[str]) -> tuple[Mapping[Position, int], Mapping[Position, int]]:
    """Return the oldest and the next offset of each partition."""
    wanted = tuple(topics)
    return facts.ask_kafka(lambda kafka: (kafka.start_offsets(wanted), kafka.end_offsets(wanted)))


def events_between(facts: Facts, between: Mapping[Position, tuple[int, int]]) -> tuple[CrmEvent, ...]:
    """Return the events in these ranges of offsets."""
    return facts.ask_kafka(lambda kafka: kafka.events(between, deadline_s=facts.reading_s)) if between else ()
