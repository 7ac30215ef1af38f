"""The cases of hop kafka: what breaks each check, and what keeps it from being looked at."""

from cases import (
    Case,
    port_case,
)
from recorded import (
    KAFKA,
    answered,
    given,
    refused,
)

from runbook.diagnosis.checks import kafka

CASES = (
    port_case("kafka", KAFKA, kafka.cluster),
    Case(hop="kafka", code="Q_DOWN", broken=given(kafka.cluster, refused()), unseen=given(kafka.cluster, answered(0))),
)
