"""The cases of hop token: what breaks each check, and what keeps it from being looked at."""

from datetime import timedelta

from runbook.diagnosis.checks import gateway
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import Case
from tests.diagnosis.recorded import (
    NOW,
    given,
    probe,
    refused,
    token,
)

CASES = (
    Case(
        hop="token",
        code="TOKEN_TENANT",
        broken=given(Facts.token, token(None)),
        unseen=given(Facts.token, refused()),
        says="no tenant_id",
        fix="mapper",
    ),
    Case(
        hop="token",
        code="TOKEN_ISS",
        broken=given(gateway.probe, probe(401, "invalid issuer: http://a, expected http://b")),
        unseen=given(gateway.probe, refused()),
        says="iss=http://localhost:8180/realms/aetherlink",
        fix="RUNBOOK_KEYCLOAK_URL",
    ),
    Case(
        hop="token",
        code="TOKEN_TIME",
        broken=given(gateway.probe, probe(401, "token expired", date=NOW + timedelta(hours=1))),
        unseen=given(gateway.probe, refused()),
        says="token expired",
        fix="that of the gateway is 3600 s ahead of Keycloak's",
    ),
    Case(
        hop="token",
        code="TOKEN_TIME",
        broken=given(gateway.probe, probe(401, "The token is not yet valid (nbf)", date=NOW - timedelta(minutes=5))),
        unseen=given(gateway.probe, refused()),
        fix="that of the gateway is 300 s behind Keycloak's",
    ),
    Case(
        hop="token",
        code="TOKEN_TIME",
        broken=given(gateway.probe, probe(401, "token expired")),
        unseen=given(gateway.probe, refused()),
        fix="raise Access Token Lifespan",
    ),
)
