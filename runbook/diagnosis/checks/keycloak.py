"""Hops keycloak and token: who gives the JWT, and what is in it."""

from collections.abc import Callable
from http import HTTPStatus

from runbook.diagnosis.checks.reach import port_check
from runbook.diagnosis.engine import Check, Finding, Ok
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.services import down, keycloak
from runbook.errors import AnswerError, UnreachableError
from runbook.systems.http import shortened

_QUOTED = 60
# In the order in which Keycloak looks: realm, client, grant, account. A later refusal proves what comes before it.
_REFUSALS = {
    "invalid_client": "KC_CLIENT",
    "unauthorized_client": "KC_GRANT_OFF",
    "invalid_grant": "KC_USER",
    "not_setup": "KC_SETUP",
}


def _answers(facts: Facts) -> Finding:
    try:
        realm = facts.realm()
    except UnreachableError as error:
        return down(facts, "KC_DOWN", keycloak(facts), saw(error.where, error.seen))
    if realm.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return down(facts, "KC_DOWN", keycloak(facts), saw(_where(facts), realm.saw))
    return Ok((saw(_where(facts), shortened(realm.saw, _QUOTED)),))


def _has_realm(facts: Facts) -> Finding:
    seen = saw(_where(facts), shortened(facts.realm().saw, _QUOTED))
    if facts.realm().status == HTTPStatus.NOT_FOUND:
        return broken("KC_REALM", seen, realm=facts.target.keycloak.realm)
    return Ok((seen,))


def _accepts(code: str) -> Callable[[Facts], Finding]:
    """Return the check that the login is not refused for the reason of `code`."""

    def check(facts: Facts) -> Finding:
        mine = facts.target.keycloak
        try:
            token = facts.token()
        except AnswerError as error:
            refusal = _REFUSALS.get(error.code)
            if refusal is None:
                raise
            seen = saw(error.where, error.seen)
            if refusal == code:
                return broken(code, seen, client=mine.client_id, user=mine.username)
            return Ok((seen,))
        return Ok((saw(f"{_where(facts)}, token", f"issued by {token.issuer} for {token.username}"),))

    return check


def _names_tenant(facts: Facts) -> Finding:
    token = facts.token()
    if token.tenant_id is None:
        claims = ", ".join(sorted(token.claims))
        seen = saw("claims of the access token", f"no tenant_id among {claims}")
        return broken("TOKEN_TENANT", seen, client=facts.target.keycloak.client_id)
    return Ok((saw("claims of the access token", f"tenant_id={token.tenant_id}"),))


def _where(facts: Facts) -> str:
    return f"GET {facts.target.keycloak.url.rstrip('/')}/realms/{facts.target.keycloak.realm}"


CHECKS = (
    port_check("keycloak", "Keycloak", keycloak, lambda facts: facts.target.keycloak.url, Facts.realm),
    Check(
        code="KC_DOWN",
        hop="keycloak",
        claim="Keycloak answers",
        needs=("DOCKER_DOWN",),
        unless=("keycloak.PORT_UNPUBLISHED",),
        run=_answers,
    ),
    Check(code="KC_REALM", hop="keycloak", claim="Keycloak has the realm", needs=("KC_DOWN",), run=_has_realm),
    Check(
        code="KC_CLIENT",
        hop="keycloak",
        claim="Keycloak accepts the client",
        needs=("KC_REALM",),
        run=_accepts("KC_CLIENT"),
    ),
    Check(
        code="KC_GRANT_OFF",
        hop="keycloak",
        claim="The client may log in with a password",
        needs=("KC_CLIENT",),
        run=_accepts("KC_GRANT_OFF"),
    ),
    Check(
        code="KC_SETUP",
        hop="keycloak",
        claim="The account is fully set up",
        needs=("KC_GRANT_OFF",),
        run=_accepts("KC_SETUP"),
    ),
    Check(
        code="KC_USER",
        hop="keycloak",
        claim="Keycloak accepts the user's password",
        needs=("KC_SETUP",),
        run=_accepts("KC_USER"),
    ),
    Check(code="TOKEN_TENANT", hop="token", claim="The token names the tenant", needs=("KC_USER",), run=_names_tenant),
)
