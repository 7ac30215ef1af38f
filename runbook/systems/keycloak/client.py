"""Keycloak: the token of the user who creates the test data, through python-keycloak."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runbook.errors import AnswerError, UnreachableError
from runbook.systems.failures import failure_reason
from runbook.systems.http import BODY_CHARACTERS, HttpClient, shortened
from runbook.systems.keycloak.settings import KeycloakSettings
from runbook.systems.redaction import login_texts, redacted, secret_forms

if TYPE_CHECKING:
    from keycloak import KeycloakOpenID
    from requests import Response

_JWT_PARTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token with its claims, decoded WITHOUT checking the signature: to be shown, never to be trusted.

    `tenant_id` is None when the claim is missing or no text. Times are by Keycloak's clock.
    """

    value: str = field(repr=False)
    tenant_id: str | None
    issuer: str
    username: str
    issued_at: datetime | None
    expires_at: datetime | None
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmAnswer:
    """What the realm's public page answered; `saw` quotes it. 404: there is no such realm."""

    status: int
    saw: str


class Keycloak:
    """One realm of Keycloak, as one user. Errors never quote password, client secret or token."""

    def __init__(self, settings: KeycloakSettings, timeout_s: float = 10) -> None:
        """Keep the address and who we are there; nothing is opened."""
        self._settings = settings
        self._timeout_s = timeout_s
        self._fix = (
            f"check that Keycloak ({settings.container}) runs, and that {settings.place_of('url')} is its address"
        )
        self._password = settings.password.get_secret_value()
        self._client_secret = settings.client_secret.get_secret_value() if settings.client_secret else None
        self._proxy_login = settings.login("proxy_")
        self._realm_path = f"/realms/{settings.realm}"
        self._http = HttpClient("Keycloak", settings.url, auth=self._proxy_login, timeout_s=timeout_s, fix=self._fix)
        self._where = f"POST {settings.url.rstrip('/')}{self._realm_path}/protocol/openid-connect/token"

    def token(self) -> Token:
        """Log in by password grant.

        Raises AnswerError with Keycloak's own error as code (`invalid_grant`), "not_setup" for an account that is
        not fully set up, "no_realm" for 404, "not_a_token" for a success without a JWT; UnreachableError.
        """
        from keycloak.exceptions import KeycloakConnectionError, KeycloakError

        answers: list[Response] = []
        try:
            found = self._openid(answers).token(self._settings.username, self._password)
        except KeycloakConnectionError as error:
            raise self._unreachable(error.__cause__ or error) from None
        except (KeycloakError, TypeError):  # TypeError: the body is JSON, but not an object; or not JSON at all
            raise self._refused(answers[-1]) from None
        value = found.get("access_token")
        if not isinstance(value, str):
            raise self._no_token("Keycloak answered 200 without an access token")
        return self._decoded(value)

    def realm(self) -> RealmAnswer:
        """Ask for the realm's public page, without credentials; every status is an answer."""
        answer = self._http.get(self._realm_path)
        return RealmAnswer(status=answer.status, saw=f"{answer.status} {answer.excerpt}")

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._http.close()

    def _openid(self, answers: "list[Response]") -> "KeycloakOpenID":
        """Return the library's client, which appends what it is answered to `answers`.

        Its session, which it keeps private, would use proxies of the environment, and follow a redirect with the
        password to another host.
        """
        from keycloak import KeycloakOpenID

        client = KeycloakOpenID(
            server_url=f"{self._settings.url.rstrip('/')}/",
            realm_name=self._settings.realm,
            client_id=self._settings.client_id,
            client_secret_key=self._client_secret,
            custom_headers=_basic(self._proxy_login),
            timeout=ceil(self._timeout_s),
            max_retries=0,
        )
        session = client.connection._s  # noqa: SLF001 - see above
        session.trust_env = False
        session.max_redirects = 0
        session.hooks["response"].append(lambda answer, **_: answers.append(answer))
        return client

    def _decoded(self, value: str) -> Token:
        try:
            claims = _claims(value)
            tenant = claims.get("tenant_id")
            return Token(
                value=value,
                tenant_id=tenant if isinstance(tenant, str) and tenant else None,
                issuer=str(claims.get("iss", "")),
                username=str(claims.get("preferred_username", "")),
                issued_at=_moment(claims.get("iat")),
                expires_at=_moment(claims.get("exp")),
                claims=claims,
            )
        except (ValueError, OverflowError, OSError):
            raise self._no_token("Keycloak's access token is not a JWT: its claims cannot be read") from None

    def _unreachable(self, error: BaseException) -> UnreachableError:
        reason = failure_reason(error)
        said = {
            "timeout": f"did not answer within {self._timeout_s:g} s",
            "dns": "cannot be found: its name does not resolve",
            "refused": "cannot be reached: connection refused",
            "broken": "closed the connection, or redirected the login elsewhere",
        }[reason]
        return UnreachableError(f"Keycloak {said}", where=self._where, fix=self._fix, reason=reason)

    def _no_token(self, seen: str) -> AnswerError:
        return AnswerError(seen, where=self._where, fix=self._fix, status=HTTPStatus.OK, code="not_a_token")

    def _refused(self, answer: "Response") -> AnswerError:
        if answer.ok:
            return self._no_token(f"Keycloak answered {answer.status_code}, but not with JSON")
        body = redacted(answer.content.decode("utf-8", errors="replace"), self._secrets())
        said = _said(body)
        code = _code(answer.status_code, said)
        return AnswerError(
            f"Keycloak refused the login: {answer.status_code} {said.error} {said.error_description}".rstrip(),
            where=f"{self._where} as user {self._settings.username}",
            fix=self._fix_for(code),
            status=answer.status_code,
            code=code,
            body=shortened(body, BODY_CHARACTERS),
        )

    def _secrets(self) -> tuple[str, ...]:
        proxy = login_texts(*self._proxy_login) if self._proxy_login else ()
        return secret_forms(self._password, self._client_secret or "", *proxy)

    def _fix_for(self, code: str) -> str:
        mine, variable = self._settings, self._settings.variable
        return {
            "invalid_grant": f"set {variable('password')} to the password of {mine.username}",
            "not_setup": f"clear the required actions of {mine.username} in Keycloak",
            "invalid_client": f"set {variable('client_id')}, and {variable('client_secret')} if it has one",
            "unauthorized_client": f"enable direct access grants on the client {mine.client_id}",
            "no_realm": f"set {variable('realm')}: {mine.realm} does not exist there",
        }.get(code, self._fix)


def _basic(login: tuple[str, str] | None) -> dict[str, str]:
    """Return the header of basic authentication, if there is a login."""
    return {"Authorization": f"Basic {login_texts(*login)[1]}"} if login else {}


class _Said(msgspec.Struct, frozen=True):
    """An error body of OAuth 2 (RFC 6749, 5.2)."""

    error: str = ""
    error_description: str = ""


def _said(body: str) -> _Said:
    try:
        return msgspec.json.decode(body, type=_Said)
    except msgspec.DecodeError:
        return _Said()


def _code(status: int, said: _Said) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "no_realm"
    if said.error == "invalid_grant" and "not fully set up" in said.error_description.lower():
        return "not_setup"
    if (status, said.error) == (HTTPStatus.UNAUTHORIZED, "unauthorized_client"):
        return "invalid_client"  # what Keycloak 26 says of a wrong secret; without direct grants it is a 400
    return said.error


def _claims(token: str) -> dict[str, Any]:
    """Return the payload of a JWT, unchecked; ValueError when it is none."""
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        raise ValueError("not three parts")
    claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(claims, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the token's content is wrong, not a caller's type
    return claims


def _moment(epoch_s: object) -> datetime | None:
    return datetime.fromtimestamp(epoch_s, UTC) if isinstance(epoch_s, (int, float)) else None
