"""The cases of hop kafka: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import kafka
from tests.diagnosis.cases import (
    Case,
    port_case,
)
from tests.diagnosis.recorded import (
    KAFKA,
    answered,
    given,
    refused,
)

CASES = (
    port_case("kafka", KAFKA, kafka.cluster),
    Case(hop="kafka", code="Q_DOWN", broken=given(kafka.cluster, refused()), unseen=given(kafka.cluster, answered(0))),
)
