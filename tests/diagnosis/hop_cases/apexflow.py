"""The cases of hop apexflow: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import gateway
from tests.diagnosis.cases import Case, container_cases
from tests.diagnosis.recorded import (
    APEXFLOW,
    given,
    probe,
    refused,
)

CASES = (
    *container_cases("apexflow", APEXFLOW, given(gateway.probe, probe(502))),
    Case(
        hop="apexflow",
        code="GW_UPSTREAM",
        broken=given(gateway.probe, probe(503)),
        unseen=given(gateway.probe, refused()),
        fix="restart",
    ),
)
