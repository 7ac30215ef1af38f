"""The cases of hop apexflow: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import gateway
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import NO_STATE, Case, container_cases, exited
from tests.diagnosis.recorded import (
    APEXFLOW,
    given,
    probe,
    refused,
    timed_out,
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
        says="401 missing bearer token",
        fix="docker restart aether-apexflow; if it stays so, docker logs --tail 100 aether-apexflow",
    ),
    Case(
        hop="apexflow",
        code="GW_UPSTREAM",
        broken=given(gateway.probe, timed_out()),
        unseen=given(gateway.probe, refused()),
        says="did not answer within 3 s",
        fix="docker restart aether-apexflow",
    ),
)
