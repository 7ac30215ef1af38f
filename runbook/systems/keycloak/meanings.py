"""What Keycloak's refusals mean, in its own words as far as its versions share them (26.7: docs/SERVERS.md)."""

from typing import Final

from runbook.systems.http_meaning import Meaning

KEYCLOAK_MEANINGS: Final = (
    Meaning(
        code="no_realm",
        statuses=(404,),
        says=r"\brealm\b.*not (exist|found)",
        words="there is no such realm",
        fix="set {realm_place}: {realm} does not exist there",
    ),
    Meaning(
        code="no_path",
        statuses=(404,),
        words="nothing of Keycloak is at this address",
        fix="set {address} to the address of Keycloak before /realms/{realm}, {path}",
    ),
    Meaning(
        code="https",
        says=r"https[ _]required",
        words="the realm wants https",
        fix="set {address} to the address of Keycloak with https://, or lower Require SSL of the realm {realm}",
    ),
    Meaning(
        code="realm_off",
        says=r"realm (is )?(not enabled|disabled)",
        words="the realm is disabled",
        fix="enable the realm {realm} in Keycloak: Realm settings, Enabled",
    ),
    Meaning(
        code="invalid_client",
        says='"invalid_client"',
        words="it knows no such client, or the client is disabled",
        fix="set {client_place}, and {client_secret_place} if it has one; enable the client {client} if it is disabled",
    ),
    Meaning(  # what Keycloak 26 says of a wrong secret; without direct grants it is a 400
        code="invalid_client",
        statuses=(401,),
        says='"unauthorized_client"',
        words="the client's secret is missing or wrong",
        fix="set {client_secret_place} to the secret of the client {client}",
    ),
    Meaning(
        code="unauthorized_client",
        says='"unauthorized_client"',
        words="the client may not log in with a password",
        fix="enable direct access grants on the client {client}",
    ),
    Meaning(
        code="not_setup",
        says='"invalid_grant".*not fully set up',
        words="a required action is left, or the profile lacks first name, last name or e-mail",
        fix="clear the required actions of {user} in Keycloak, and fill in first name, last name and e-mail",
    ),
    Meaning(
        code="locked",
        says='"invalid_grant".*(temporarily|locked)',
        words="too many failed logins have locked the account",
        fix="unlock {user} in Keycloak, or wait until the lock ends; then find what logs in with a wrong password",
    ),
    Meaning(
        code="disabled",
        says='"invalid_grant".*disabled',
        words="the account is disabled",
        fix="enable the user {user} in Keycloak",
    ),
    Meaning(
        code="invalid_grant",
        says='"invalid_grant"',
        words="the password is wrong, there is no such user, or failed logins have locked it: Keycloak says the same",
        fix="set {password_place} to the password of {user}; if it is right, unlock {user} in Keycloak",
    ),
)
