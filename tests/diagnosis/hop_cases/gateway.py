"""The cases of hop gateway: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import gateway
from tests.diagnosis.cases import (
    DUPLICATE,
    Case,
    container_cases,
)
from tests.diagnosis.recorded import (
    GATEWAY,
    answered,
    given,
    probe,
    refused,
)

PROXY_ANSWERS = given(gateway.unauthenticated_answer, probe(502)) | given(gateway.probe, probe(502))
CASES = (
    *container_cases("gateway", GATEWAY, PROXY_ANSWERS, gateway.unauthenticated_answer),
    Case(
        hop="gateway",
        code="GW_DOWN",
        broken=(given(gateway.unauthenticated_answer, refused()) | given(gateway.probe, refused())),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        says="refused",
    ),
    Case(
        hop="gateway",
        code="GW_ROUTE",
        broken=(
            given(gateway.unauthenticated_answer, probe(404, proxy=True)) | given(gateway.probe, probe(404, proxy=True))
        ),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        fix="RUNBOOK_GATEWAY_HOST",
    ),
    Case(
        hop="gateway", code="GW_AUTH", broken=given(gateway.probe, probe(403)), unseen=given(gateway.probe, refused())
    ),
    Case(
        hop="gateway",
        code="GW_DUPLICATE",
        broken=given(gateway.last_traffic, ("20261123-1", (DUPLICATE,))),
        unseen=given(gateway.last_traffic, answered(0)),
        says="409",
        fix="inv traffic",
    ),
)
