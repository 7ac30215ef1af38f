"""The cases of hop keycloak: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.facts import Facts
from runbook.systems.keycloak.client import RealmAnswer
from tests.diagnosis.cases import Case, container_cases, port_case
from tests.diagnosis.recorded import (
    KEYCLOAK,
    answered,
    given,
    refused,
    silent,
)

CASES = (
    *container_cases("keycloak", KEYCLOAK, silent(Facts.realm, Facts.token), Facts.realm),
    port_case("keycloak", KEYCLOAK, Facts.realm, Facts.token),
    Case(
        hop="keycloak",
        code="KC_DOWN",
        broken=(given(Facts.realm, refused()) | given(Facts.token, refused())),
        unseen=given(Facts.realm, answered(200)),
    ),
    Case(
        hop="keycloak",
        code="KC_REALM",
        broken=(
            given(Facts.realm, RealmAnswer(status=404, saw="404 Realm does not exist"))
            | given(Facts.token, answered(404, "no_realm"))
        ),
        unseen=given(Facts.realm, answered(200)),
        fix="RUNBOOK_KEYCLOAK_REALM",
    ),
    Case(
        hop="keycloak",
        code="KC_CLIENT",
        broken=given(Facts.token, answered(401, "invalid_client")),
        unseen=given(Facts.token, answered(500, "server_error")),
        fix="CLIENT_ID",
    ),
    Case(
        hop="keycloak",
        code="KC_GRANT_OFF",
        broken=given(Facts.token, answered(400, "unauthorized_client")),
        unseen=given(Facts.token, refused()),
        fix="direct access grants",
    ),
    Case(
        hop="keycloak",
        code="KC_SETUP",
        broken=given(Facts.token, answered(400, "not_setup")),
        unseen=given(Facts.token, refused()),
        fix="required actions of demo",
    ),
    Case(
        hop="keycloak",
        code="KC_USER",
        broken=given(Facts.token, answered(401, "invalid_grant")),
        unseen=given(Facts.token, refused()),
        fix="password of demo",
    ),
)
