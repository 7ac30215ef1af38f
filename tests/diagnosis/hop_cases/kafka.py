"""The cases of hop kafka: what breaks each check, and what keeps it from being looked at."""

from runbook.conservation.boundary import Boundary
from runbook.diagnosis import boundaries
from runbook.diagnosis.checks import kafka
from tests.diagnosis.cases import (
    Case,
    container_cases,
    port_case,
)
from tests.diagnosis.recorded import (
    KAFKA,
    answered,
    crossed,
    given,
    refused,
    silent,
)

CASES = (
    *container_cases("kafka", KAFKA, silent(kafka.cluster), kafka.cluster),
    port_case("kafka", KAFKA, kafka.cluster),
    Case(hop="kafka", code="Q_DOWN", broken=given(kafka.cluster, refused()), unseen=given(kafka.cluster, answered(0))),
    Case(
        hop="kafka",
        code="LOSS_API_KAFKA",
        broken=given(boundaries.api_kafka, crossed("API to Kafka", left=12)),
        unseen=given(boundaries.api_kafka, Boundary(name="API to Kafka", why="cannot be read")),
        says="17 in, 12 out",
        fix="docker logs --tail 100 aether-apexflow: its lines since",
    ),
)
