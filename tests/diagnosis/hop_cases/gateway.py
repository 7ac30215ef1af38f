"""The cases of hop gateway: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import gateway
from runbook.systems.gateway.client import ProbeAnswer
from tests.diagnosis.cases import (
    DUPLICATE,
    Case,
    container_cases,
)
from tests.diagnosis.recorded import (
    GATEWAY,
    Change,
    answered,
    given,
    probe,
    refused,
    silent,
    unspoken,
)

PROXY_ANSWERS = given(gateway.unauthenticated_answer, probe(502)) | given(gateway.probe, probe(502))


def both(answer: ProbeAnswer) -> Change:
    """Return that a request is answered the same without a token and with one."""
    return given(gateway.unauthenticated_answer, answer) | given(gateway.probe, answer)


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
        hop="gateway",
        code="GW_AUTH",
        broken=given(gateway.probe, probe(403, "role missing")),
        unseen=given(gateway.probe, refused()),
        fix="give demo in Keycloak the role",
    ),
    Case(
        hop="gateway",
        code="GW_AUTH",
        broken=given(gateway.probe, probe(401, "invalid token")),
        unseen=given(gateway.probe, refused()),
        fix="docker logs --tail 100 aether-gateway",
    ),
    Case(
        hop="gateway",
        code="GW_AUTH",
        broken=given(gateway.probe, probe(401, "wrong audience")),
        unseen=given(gateway.probe, refused()),
        fix="audience mapper",
    ),
    Case(
        hop="gateway",
        code="GW_AUTH",
        broken=given(gateway.probe, probe(503, "cannot fetch the keys of http://keycloak")),
        unseen=given(gateway.probe, refused()),
        fix="the gateway reaches Keycloak",
    ),
    Case(
        hop="gateway",
        code="GW_DOWN",
        broken=both(probe(502, "Bad Gateway", proxy=True)),
        unseen=given(gateway.unauthenticated_answer, unspoken("proxy")),
        says="502 Bad Gateway",
        fix="docker restart aether-gateway",
    ),
    Case(
        hop="gateway",
        code="GW_LIMIT",
        broken=both(probe(429, "Too Many Requests", proxy=True)),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        fix="raise the limit",
    ),
    Case(
        hop="gateway",
        code="GW_LIMIT",
        broken=given(gateway.probe, probe(429, "slow down")),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        fix="raise the limit",
    ),
    Case(
        hop="gateway",
        code="GW_LOGIN",
        broken=both(probe(200, "<html><title>Sign in</title>", proxy=True)),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        fix="without a login page",
    ),
    Case(
        hop="gateway",
        code="GW_LOGIN",
        broken=both(probe(302, "Found", proxy=True)),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        fix="where it leads",
    ),
    Case(
        hop="gateway",
        code="WRONG_ANSWER",
        broken={key: unspoken("tls_expired") for key in silent(gateway.unauthenticated_answer, gateway.probe)},
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        says="met tls_expired",
        fix="look",
    ),
    Case(
        hop="gateway",
        code="WRONG_ANSWER",
        broken=both(probe(403, "<html><title>Forbidden</title>", proxy=True)),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        says="403",
        fix="logs of the edge proxy",
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
