"""Hop kafka: the broker that keeps the events."""

from runbook.diagnosis import boundaries
from runbook.diagnosis.boundary_checks import boundary_check
from runbook.diagnosis.check import Check, Finding, Ok
from runbook.diagnosis.container_checks import server_checks, stops
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.service_state import down
from runbook.errors import UnreachableError
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.records import ClusterFacts


@Fact
def cluster(facts: Facts) -> ClusterFacts:
    """Return brokers and topics."""
    return facts.ask_kafka(Kafka.metadata)


def _answers(facts: Facts) -> Finding:
    mine = facts.target.kafka
    try:
        found = cluster(facts)
    except UnreachableError as error:
        return down(facts, mine.as_service, saw(error.where, error.seen))
    return Ok((saw(f"Kafka at {mine.bootstrap}", f"brokers {', '.join(found.brokers)}"),))


def _bootstrap(facts: Facts) -> str:
    """Return the first address: of a list, the client tries one after the other."""
    return f"tcp://{facts.target.kafka.bootstrap.partition(',')[0]}"


CHECKS = (
    *server_checks("kafka", "The Kafka broker", lambda facts: facts.target.kafka.as_service, _bootstrap, cluster),
    Check(
        code="Q_DOWN",
        hop="kafka",
        claim="The Kafka broker answers",
        diagnosis="The Kafka broker does not answer",
        sign="no metadata from any bootstrap address",
        fix="{start}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("kafka"), "kafka.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    boundary_check(
        "LOSS_API_KAFKA",
        "kafka",
        boundaries.api_kafka,
        between="the API and Kafka",
        sign="a lead or job that a run created has no event, or more than one",
        log_of=lambda facts: facts.target.apexflow.as_service,
        needs=("Q_DOWN",),
    ),
)
