"""The sink's page of before the newest run, where its counters and positions go on to those of now."""

from contextlib import suppress

from runbook.conservation.segments import Segment, passed
from runbook.conservation.snapshot import Snapshot
from runbook.conservation.traffic_run import TrafficRun
from runbook.diagnosis.boundaries.unowned import Unowned
from runbook.diagnosis.boundaries.window import Scrapes, newest_run, remembered, sink_is_alone
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.client import Kafka


def recorded_page(facts: Facts, page: Snapshot, unowned: Unowned) -> Snapshot | None:
    """Return the sink's page of before the newest run.

    Partitions that were not there yet began at 0. Of those that nobody owns, and of those that a sink which is alone
    has got since, what came since the run counts.
    """
    run = newest_run(facts)
    if (
        run is None
        or run.baseline.page is None
        or run.baseline.end_offsets is None
        or _is_another_log(facts, run, page)
        or _began_at_zero(facts, run.baseline.page, page)
    ):
        return None
    ends = {(one.topic, one.partition): one.offset for one in run.baseline.end_offsets}
    places = {*page.partitions, *unowned.ends} if sink_is_alone(facts) and run.baseline.page.positions else unowned.ends
    new = {place: 0 for place in page.partitions if place not in ends}
    return run.baseline.page.with_positions(new | {place: ends[place] for place in places if place in ends})


def _is_another_log(facts: Facts, run: TrafficRun, page: Snapshot) -> bool:
    """Whether the topics of now are not those of the run: another cluster, or positions that were passed once."""
    cluster_id = facts.ask_kafka(Kafka.metadata).cluster_id
    if run.baseline.cluster_id and cluster_id and run.baseline.cluster_id != cluster_id:
        return True
    scrapes: Scrapes = {}
    with suppress(RunbookError):
        scrapes = remembered(facts)
    now = {(one.topic, one.partition): one.offset for one in page.positions}
    passed_once = (each for of_it in scrapes.values() for one in of_it for each in one.positions)
    return any(each.offset > now.get((each.topic, each.partition), each.offset) for each in passed_once)


def _began_at_zero(facts: Facts, recorded: Snapshot, page: Snapshot) -> bool:
    """Whether another process goes on with another journal: it has counted no more than what came since the one before.

    One that has more, and less of a series than was scraped before, has lost counts.
    """
    if recorded.started_s == page.started_s:
        return False
    scrapes: Scrapes = {}
    with suppress(RunbookError):
        scrapes = remembered(facts)
    seen = [one for of_it in scrapes.values() for one in of_it if one.at > recorded.at and one.positions]
    higher = [one for one in seen if any(count.value > page.value_of(count) for count in one.counts)]
    counted = sum(count.value for count in page.counts)
    return bool(higher) and all(counted <= distance(one, page) for one in higher)


def distance(before: Snapshot, after: Snapshot) -> int:
    """Return how many offsets lie between two snapshots, whichever is the later one."""
    return sum(abs(end - start) for start, end in passed(Segment(before=before, after=after)).values())
