"""API to Kafka: every lead and job that the newest run created has its event, once."""

from contextlib import suppress
from typing import Final

from runbook.conservation.arithmetic import NO_RUN, api_to_kafka, grown
from runbook.conservation.boundary import Boundary, Flow
from runbook.conservation.segments import restarted
from runbook.conservation.snapshot import snapshot_of_page
from runbook.conservation.traffic_run import TrafficRun
from runbook.diagnosis.boundaries.window import events_between, newest_run, sink_is_alone, starts_and_ends
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.kafka.client import Kafka

_NAME: Final = "API to Kafka"


@Fact
def api_kafka(facts: Facts) -> Boundary:
    """Return API to Kafka, of the newest run of this tool that created something; without one nothing crossed it."""
    run = newest_run(facts)
    if run is None:
        return Boundary(name=_NAME, quiet=NO_RUN)
    cluster_id = facts.ask_kafka(Kafka.metadata).cluster_id
    if run.baseline.cluster_id and cluster_id and run.baseline.cluster_id != cluster_id:
        return Boundary(name=_NAME, quiet=f"the newest run, {run.run_id}, was made on another Kafka cluster")
    topics = tuple(sorted({one.topic for one in run.created}))
    starts, ends = starts_and_ends(facts, topics)
    first = {place: run.first_offset(*place) for place in ends}
    if any(offset is None for offset in first.values()):
        return Boundary(name=_NAME, why=f"the offsets before run {run.run_id} were not recorded")
    before = {(one.topic, one.partition) for one in run.baseline.end_offsets or () if one.topic in topics}
    gone = before - ends.keys()
    if gone or any(not starts[place] <= (offset or 0) <= ends[place] for place, offset in first.items()):
        return _counted_instead(facts, run)

    def look() -> tuple[Boundary, bool]:
        _, now = starts_and_ends(facts, topics)
        events = events_between(facts, {place: (first.get(place) or 0, end) for place, end in now.items()})
        found = api_to_kafka(run.created, events)
        return found, found.outcome == "ok"

    return facts.until(look)


def _counted_instead(facts: Facts, run: TrafficRun) -> Boundary:
    """Return the run against the sink's counters, as Kafka has deleted its events: they grew by no less, or it is lost.

    Of a sink that has forgotten its counters, or is one of several, nothing is known.
    """
    quiet = f"Kafka no longer holds the events of the newest run, {run.run_id}"
    before = run.baseline.page or run.baseline.sampled
    flows: tuple[Flow, ...] = ()
    with suppress(RunbookError):
        page = snapshot_of_page(facts.page_now())
        if before and sink_is_alone(facts) and not restarted(before, page):
            flows = grown(run.created, before, page)
    if not any(flow.difference for flow in flows):
        return Boundary(name=_NAME, quiet=quiet)
    notes = (f"{quiet}, and the sink has not counted them",)
    return Boundary(name=_NAME, flows=flows, since=run.baseline.at, until=facts.now(), notes=notes)
