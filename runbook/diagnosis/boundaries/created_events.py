"""API to Kafka: every lead and job that the newest run created has its event, once."""

from runbook.conservation.arithmetic import NO_RUN, api_to_kafka
from runbook.conservation.boundary import Boundary
from runbook.diagnosis.boundaries.window import events_between, newest_run, starts_and_ends
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.systems.kafka.client import Kafka


@Fact
def api_kafka(facts: Facts) -> Boundary:
    """Return API to Kafka, of the newest run of this tool that created something; without one nothing crossed it."""
    name = "API to Kafka"
    run = newest_run(facts)
    if run is None:
        return Boundary(name=name, quiet=NO_RUN)
    cluster_id = facts.ask_kafka(Kafka.metadata).cluster_id
    if run.baseline.cluster_id and cluster_id and run.baseline.cluster_id != cluster_id:
        return Boundary(name=name, quiet=f"the newest run, {run.run_id}, was made on another Kafka cluster")
    topics = tuple(sorted({one.topic for one in run.created}))
    starts, ends = starts_and_ends(facts, topics)
    first = {place: run.first_offset(*place) for place in ends}
    if any(offset is None for offset in first.values()):
        return Boundary(name=name, why=f"the offsets before run {run.run_id} were not recorded")
    before = {(one.topic, one.partition) for one in run.baseline.end_offsets or () if one.topic in topics}
    gone = before - ends.keys()
    if gone or any(not starts[place] <= (offset or 0) <= ends[place] for place, offset in first.items()):
        return Boundary(name=name, quiet=f"Kafka no longer holds the events of the newest run, {run.run_id}")

    def look() -> tuple[Boundary, bool]:
        _, now = starts_and_ends(facts, topics)
        events = events_between(facts, {place: (first.get(place) or 0, end) for place, end in now.items()})
        found = api_to_kafka(run.created, events)
        return found, found.outcome == "ok"

    return facts.until(look)
