"""Hop keycloak: who issues the token, and whether it lets us in."""

from contextlib import closing
from http import HTTPStatus
from typing import Final

from runbook.diagnosis.answers import (
    OF_TLS,
    WRONG_ANSWER,
    Told,
    after,
    answer_checks,
    but_answers,
    not_ready,
    silent,
)
from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.container_checks import server_checks, stops
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.errors import RunbookError, UnreachableError
from runbook.model import Evidence
from runbook.systems.http_answer import shortened
from runbook.systems.keycloak.client import Keycloak, RealmAnswer

_QUOTED: Final = 60
_PATIENCE: Final = 3  # times the time of one reading: who answers then is slow, not silent


@Fact
def late_realm(facts: Facts) -> RealmAnswer:
    """Ask for the realm's public page once more, with three times the time."""
    with closing(Keycloak(facts.target.keycloak, _PATIENCE * facts.reading_s)) as keycloak:
        return keycloak.realm()


@but_answers
def _answers(facts: Facts) -> Finding:
    mine = facts.target.keycloak
    try:
        realm = facts.realm()
    except UnreachableError as error:
        late = _late(facts, error)
        return Ok((late,)) if late else silent(facts, mine.as_service, error, address=mine.place_of("url"))
    if realm.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return not_ready(facts, mine.as_service, saw(_where(facts), realm.saw))
    return Ok((_realm_seen(facts, realm),))


def _late(facts: Facts, error: UnreachableError) -> Evidence | None:
    """Return what a realm's page that did not come in time was answered later; None: nothing came."""
    if error.reason != "timeout":
        return None
    try:
        return _realm_seen(facts, late_realm(facts))
    except RunbookError:
        return None


@but_answers
def _answers_in_time(facts: Facts) -> Finding:
    """The page, and the login: that one takes Keycloak the time of hashing a password."""
    log = facts.log_command(facts.target.keycloak.as_service)
    try:
        seen = _realm_seen(facts, facts.realm())
    except UnreachableError as error:
        late = _late(facts, error)
        if late is None:
            raise
        return broken(saw(error.where, error.seen), late, log=log)
    try:
        facts.token()
    except RunbookError as error:
        if isinstance(error, UnreachableError):
            if error.reason != "timeout":
                raise
            return broken(seen, saw(error.where, error.seen), log=log)
    return Ok((seen,))


def _login(facts: Facts) -> Evidence:
    """Log in. Raises what the realm's page or the login is refused with."""
    facts.realm()
    token = facts.token()
    return saw(f"{_where(facts)}, token", f"issued by {token.issuer} for {token.username}")


def _realm_seen(facts: Facts, realm: RealmAnswer) -> Evidence:
    return saw(_where(facts), f"{shortened(realm.saw, _QUOTED)}{after(facts, realm.took_s)}")


def _where(facts: Facts) -> str:
    return f"GET {facts.target.keycloak.url.rstrip('/')}/realms/{facts.target.keycloak.realm}"


# In the order in which Keycloak looks: address, realm, client, grant, account, password. Each has its own words in
# runbook/systems/keycloak/meanings.py.
_ANSWERS: Final = (
    Told(
        code="KC_TLS",
        met=OF_TLS,
        claim="Keycloak is spoken to with TLS that both sides accept",
        diagnosis="Keycloak cannot be spoken to: {seen}",
        sign="an error of TLS, or http where https is spoken",
    ),
    Told(
        code="KC_PATH",
        met=frozenset({"no_path"}),
        claim="Keycloak is at the path of its address",
        diagnosis="At the address of Keycloak there is something else, or another path of it",
        sign="404 on the realm's page, and not Keycloak's own about a realm",
    ),
    Told(
        code="KC_REALM",
        met=frozenset({"no_realm"}),
        claim="Keycloak has the realm",
        diagnosis="Keycloak has no realm {realm}",
        sign="404 on the realm's page, about the realm",
        fix="correct {setting:keycloak.realm}, or import the realm",
    ),
    Told(
        code="KC_HTTPS",
        met=frozenset({"https"}),
        claim="The realm takes requests that come this way",
        diagnosis="The realm {realm} takes no request without https",
        sign="the login answers 403, HTTPS required",
        fix="set {setting:keycloak.url} to its address with https://, or lower Require SSL of the realm {realm}",
    ),
    Told(
        code="KC_REALM_OFF",
        met=frozenset({"realm_off"}),
        claim="The realm is enabled",
        diagnosis="The realm {realm} is disabled",
        sign="the login answers 403, Realm not enabled",
        fix="enable the realm {realm} in Keycloak: Realm settings, Enabled",
    ),
    WRONG_ANSWER,
    Told(
        code="KC_CLIENT",
        met=frozenset({"invalid_client"}),
        claim="Keycloak accepts the client",
        diagnosis="Keycloak does not accept the client {client}: it is unknown or disabled, or its secret is wrong",
        sign="the login answers invalid_client, or 401 unauthorized_client",
        fix="correct {setting:keycloak.client_id}, or its secret in {setting:keycloak.client_secret_file}; "
        "enable {client} if it is disabled",
    ),
    Told(
        code="KC_GRANT_OFF",
        met=frozenset({"unauthorized_client"}),
        claim="The client may log in with a password",
        diagnosis="The client {client} may not log in with a password",
        sign="the login answers 400 unauthorized_client",
        fix="enable direct access grants on {client}",
    ),
    Told(
        code="KC_DISABLED",
        met=frozenset({"disabled"}),
        claim="The account is enabled",
        diagnosis="The account {user} is disabled",
        sign="the login answers invalid_grant, Account disabled",
        fix="enable the user {user} in Keycloak",
    ),
    Told(
        code="KC_LOCKED",
        met=frozenset({"locked"}),
        claim="The account is not locked",
        diagnosis="The account {user} is locked after failed logins",
        sign="the login answers invalid_grant, temporarily disabled or locked; Keycloak 26 does not tell: see KC_USER",
        fix="unlock {user} in Keycloak, or wait until the lock ends; then find what logs in with a wrong password",
    ),
    Told(
        code="KC_SETUP",
        met=frozenset({"not_setup"}),
        claim="The account is fully set up",
        diagnosis="The account {user} is not fully set up: a required action is left, or its profile is incomplete",
        sign="the login answers invalid_grant, not fully set up",
        fix="clear the required actions of {user} in Keycloak, and fill in first name, last name and e-mail",
    ),
    Told(
        code="KC_USER",
        met=frozenset({"invalid_grant"}),
        claim="Keycloak accepts the user's password",
        diagnosis="Keycloak does not accept the user {user} with this password, or has locked the account",
        sign="the login answers invalid_grant, Invalid user credentials: of a locked account, too",
        fix="set the password of {user} in Keycloak, or {setting:keycloak.password_file} here; "
        "if it is right, unlock {user} in Keycloak",
    ),
)

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
        diagnosis="Keycloak {state}",
        sign="refused, timed out, its name does not resolve, or 503 on the realm's page",
        fix="{fix}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("keycloak"), "keycloak.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    Check(
        code="KC_SLOW",
        hop="keycloak",
        claim="Keycloak answers in time",
        diagnosis="Keycloak answers too slowly",
        sign="the realm's page comes after the time of one answer, or the page comes in time and the login does not",
        fix="{log}: look for what it waits for, and whether its host lacks processor or memory",
        needs=("KC_DOWN",),
        run=_answers_in_time,
    ),
    *answer_checks("keycloak", _login, _ANSWERS, needs="KC_SLOW"),
)
