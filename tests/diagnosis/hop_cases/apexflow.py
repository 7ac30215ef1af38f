"""The cases of hop apexflow: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import gateway
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import NO_STATE, Case, container_cases, exited
from tests.diagnosis.recorded import (
    APEXFLOW,
    given,
    probe,
    refused,
)

CASES = (
    Case(
        hop="apexflow",
        code="CTR_EXITED",
        broken=exited(APEXFLOW, 1) | given(gateway.probe, probe(502)),
        unseen=(given(Facts.state, NO_STATE, APEXFLOW) | given(gateway.probe, probe(502))),
        says="exit code 1",
        fix="docker start aether-apexflow",
    ),
    *container_cases("apexflow", APEXFLOW, given(gateway.probe, probe(502))),
    Case(
        hop="apexflow",
        code="GW_UPSTREAM",
        broken=given(gateway.probe, probe(503)),
        unseen=given(gateway.probe, refused()),
        fix="restart",
    ),
)
