"""Hop keycloak: who issues the token, and whether it lets us in."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.container_checks import server_checks, stops
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.service_state import down
from runbook.errors import AnswerError, UnreachableError
from runbook.systems.http_answer import shortened

_QUOTED: Final = 60
# In the order in which Keycloak looks: client, grant, account, password. A later refusal proves what comes before it.
_REFUSALS: Final = frozenset({"invalid_client", "unauthorized_client", "not_setup", "invalid_grant"})


def _answers(facts: Facts) -> Finding:
    service = facts.target.keycloak.as_service
    try:
        realm = facts.realm()
    except UnreachableError as error:
        return down(facts, service, saw(error.where, error.seen))
    if realm.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return down(facts, service, saw(_where(facts), realm.saw))
    return Ok((saw(_where(facts), shortened(realm.saw, _QUOTED)),))


def _has_realm(facts: Facts) -> Finding:
    seen = saw(_where(facts), shortened(facts.realm().saw, _QUOTED))
    if facts.realm().status == HTTPStatus.NOT_FOUND:
        return broken(seen, realm=facts.target.keycloak.realm, setting=facts.places)
    return Ok((seen,))


def _does_not_refuse(refusal: str) -> Callable[[Facts], Finding]:
    """Return the look whether the login is refused with this error and no other."""

    def look(facts: Facts) -> Finding:
        mine = facts.target.keycloak
        try:
            token = facts.token()
        except AnswerError as error:
            if error.code not in _REFUSALS:
                raise
            seen = saw(error.where, error.seen)
            if error.code == refusal:
                return broken(seen, client=mine.client_id, user=mine.username, setting=facts.places)
            return Ok((seen,))
        return Ok((saw(f"{_where(facts)}, token", f"issued by {token.issuer} for {token.username}"),))

    return look


def _where(facts: Facts) -> str:
    return f"GET {facts.target.keycloak.url.rstrip('/')}/realms/{facts.target.keycloak.realm}"


CHECKS = (
    *server_checks(
        "keycloak",
        "Keycloak",
        lambda facts: facts.target.keycloak.as_service,
        lambda facts: facts.target.keycloak.url,
        Facts.realm,
    ),
    Check(
        code="KC_DOWN",
        hop="keycloak",
        claim="Keycloak answers",
        diagnosis="Keycloak does not answer",
        sign="refused, timed out, or 503 on the realm's page",
        fix="{start}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("keycloak"), "keycloak.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    Check(
        code="KC_REALM",
        hop="keycloak",
        claim="Keycloak has the realm",
        diagnosis="Keycloak has no realm {realm}",
        sign="404 on the realm's page",
        fix="correct {setting:keycloak.realm}, or import the realm",
        needs=("KC_DOWN",),
        run=_has_realm,
    ),
    Check(
        code="KC_CLIENT",
        hop="keycloak",
        claim="Keycloak accepts the client",
        diagnosis="Keycloak does not accept the client {client}",
        sign="the login answers invalid_client",
        fix="correct {setting:keycloak.client_id}, or its secret in {setting:keycloak.client_secret_file}",
        needs=("KC_REALM",),
        run=_does_not_refuse("invalid_client"),
    ),
    Check(
        code="KC_GRANT_OFF",
        hop="keycloak",
        claim="The client may log in with a password",
        diagnosis="The client {client} may not log in with a password",
        sign="the login answers unauthorized_client",
        fix="enable direct access grants on {client}",
        needs=("KC_CLIENT",),
        run=_does_not_refuse("unauthorized_client"),
    ),
    Check(
        code="KC_SETUP",
        hop="keycloak",
        claim="The account is fully set up",
        diagnosis="The account {user} is not fully set up",
        sign="the login answers invalid_grant, not fully set up",
        fix="clear the required actions of {user} in Keycloak",
        needs=("KC_GRANT_OFF",),
        run=_does_not_refuse("not_setup"),
    ),
    Check(
        code="KC_USER",
        hop="keycloak",
        claim="Keycloak accepts the user's password",
        diagnosis="Keycloak does not accept the user {user} with this password",
        sign="the login answers invalid_grant",
        fix="set the password of {user} in Keycloak, or {setting:keycloak.password_file} here",
        needs=("KC_SETUP",),
        run=_does_not_refuse("invalid_grant"),
    ),
)
