"""The cases of hop keycloak: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import keycloak
from runbook.diagnosis.facts import Facts
from runbook.systems.keycloak.client import RealmAnswer
from tests.diagnosis.cases import ODD, Case, container_cases, port_case
from tests.diagnosis.recorded import (
    KEYCLOAK,
    answered,
    given,
    refused,
    silent,
    timed_out,
    unspoken,
)

CASES = (
    *container_cases("keycloak", KEYCLOAK, silent(Facts.realm, Facts.token), Facts.realm),
    port_case("keycloak", KEYCLOAK, Facts.realm, Facts.token),
    Case(
        hop="keycloak",
        code="KC_DOWN",
        broken=(given(Facts.realm, refused()) | given(Facts.token, refused())),
        unseen=given(Facts.realm, ODD),
    ),
    Case(
        hop="keycloak",
        code="KC_DOWN",
        broken=silent(Facts.token) | given(Facts.realm, RealmAnswer(status=503, saw="503 starting")),
        unseen=given(Facts.realm, unspoken("proxy")),
        says="503 starting",
        fix="wait a minute, then inv troubleshoot; docker logs --tail 100 aether-keycloak",
    ),
    Case(
        hop="keycloak",
        code="KC_DOWN",
        broken={key: timed_out() for key in silent(Facts.realm, keycloak.late_realm, Facts.token)},
        unseen=given(Facts.realm, ODD),
        says="did not answer within 3 s",
        fix="docker restart aether-keycloak",
    ),
    Case(
        hop="keycloak",
        code="KC_SLOW",
        broken=given(Facts.realm, timed_out())
        | given(keycloak.late_realm, RealmAnswer(status=200, saw="200 the realm", took_s=4.9))
        | given(Facts.token, timed_out()),
        unseen=given(Facts.token, refused()),
        says="200 the realm, after 4.9 s of the 3 s",
        fix="docker logs --tail 100 aether-keycloak",
    ),
    Case(
        hop="keycloak",
        code="KC_SLOW",
        broken=given(Facts.token, timed_out()),
        unseen=given(Facts.realm, ODD),
        says="did not answer within 3 s",
        fix="docker logs --tail 100 aether-keycloak",
    ),
    Case(
        hop="keycloak",
        code="KC_TLS",
        broken={key: unspoken("tls_unknown_ca") for key in silent(Facts.realm, Facts.token)},
        unseen={key: unspoken("proxy") for key in silent(Facts.realm, Facts.token)},
        says="met tls_unknown_ca",
        fix="look",
    ),
    Case(
        hop="keycloak",
        code="KC_TLS",
        broken={key: unspoken("plain_on_tls_port") for key in silent(Facts.realm, Facts.token)},
        unseen=given(Facts.token, refused()),
        fix="look",
    ),
    Case(
        hop="keycloak",
        code="KC_PATH",
        broken={key: answered(404, "no_path") for key in silent(Facts.realm, Facts.token)},
        unseen=given(Facts.token, refused()),
        fix="look",
    ),
    Case(
        hop="keycloak",
        code="KC_HTTPS",
        broken=given(Facts.token, answered(403, "https")),
        unseen=given(Facts.token, refused()),
        fix="RUNBOOK_KEYCLOAK_URL to its address with https://",
    ),
    Case(
        hop="keycloak",
        code="KC_REALM_OFF",
        broken=given(Facts.token, answered(403, "realm_off")),
        unseen=given(Facts.token, refused()),
        fix="enable the realm aetherlink",
    ),
    Case(
        hop="keycloak",
        code="WRONG_ANSWER",
        broken={key: answered(429, "limited") for key in silent(Facts.realm, Facts.token)},
        unseen=given(Facts.token, answered(200, "not_a_token")),
        says="429",
        fix="look",
    ),
    Case(
        hop="keycloak",
        code="WRONG_ANSWER",
        broken=given(Facts.token, answered(500, "failed")),
        unseen=given(Facts.token, answered(200, "too_large")),
        fix="look",
    ),
    Case(
        hop="keycloak",
        code="KC_DISABLED",
        broken=given(Facts.token, answered(400, "disabled")),
        unseen=given(Facts.token, refused()),
        fix="enable the user demo",
    ),
    Case(
        hop="keycloak",
        code="KC_LOCKED",
        broken=given(Facts.token, answered(400, "locked")),
        unseen=given(Facts.token, refused()),
        fix="unlock demo",
    ),
    Case(
        hop="keycloak",
        code="KC_REALM",
        broken=(
            given(Facts.realm, RealmAnswer(status=404, saw="404 Realm does not exist"))
            | given(Facts.token, answered(404, "no_realm"))
        ),
        unseen=given(Facts.realm, ODD),
        fix="RUNBOOK_KEYCLOAK_REALM",
    ),
    Case(
        hop="keycloak",
        code="KC_CLIENT",
        broken=given(Facts.token, answered(401, "invalid_client")),
        unseen=given(Facts.token, answered(200, "not_a_token")),
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
