"""Keycloak: the token of the user who creates the test data, through python-keycloak."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import msgspec
import requests
from keycloak import KeycloakOpenID
from keycloak.connection import ConnectionManager
from keycloak.exceptions import KeycloakConnectionError, KeycloakError, KeycloakPostError

from runbook.errors import AnswerError, UnreachableError
from runbook.systems.http import (
    BODY_CHARACTERS,
    HttpClient,
    failure_reason,
    redacted,
    secret_forms,
    shortened,
    shown_url,
)
from runbook.systems.keycloak.settings import KeycloakSettings

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
        self._fix = f"check that Keycloak ({settings.container}) runs, and that RUNBOOK_KEYCLOAK_URL is its address"
        self._password = settings.password.get_secret_value()
        secret = settings.client_secret.get_secret_value() if settings.client_secret else None
        self._secrets = secret_forms(self._password, secret or "")
        self._realm_path = f"/realms/{settings.realm}"
        self._openid = KeycloakOpenID(
            server_url=settings.url, realm_name=settings.realm, client_id=settings.client_id, client_secret_key=secret
        )
        self._openid.connection = _Connection(settings.url.rstrip("/") + "/", timeout_s)
        self._http = HttpClient("Keycloak", settings.url, timeout_s=timeout_s, fix=self._fix)
        self._where = f"POST {shown_url(settings.url.rstrip('/'))}{self._realm_path}/protocol/openid-connect/token"

    def token(self) -> Token:
        """Log in by password grant.

        Raises AnswerError with Keycloak's own error as code (`invalid_grant`), "not_setup" for an account that is
        not fully set up, "no_realm" for 404, "not_a_token" for a 200 without a JWT; UnreachableError.
        """
        try:
            answered = self._openid.token(self._settings.username, self._password)
        except KeycloakConnectionError as error:
            raise self._unreachable(error.__cause__ or error) from None
        except KeycloakError as error:
            raise self._refused(error) from None
        except TypeError:
            raise self._no_token("Keycloak answered 200, but not with JSON") from None
        value = answered.get("access_token")
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

    def _refused(self, error: KeycloakError) -> AnswerError:
        status = error.response_code or 0
        body = redacted((error.response_body or b"").decode("utf-8", errors="replace"), self._secrets)
        said = _said(body)
        code = _code(status, said)
        return AnswerError(
            f"Keycloak refused the login: {status} {said.error} {said.error_description}".rstrip(),
            where=f"{self._where} as user {self._settings.username}",
            fix=self._fix_for(code),
            status=status,
            code=code,
            body=shortened(body, BODY_CHARACTERS),
        )

    def _fix_for(self, code: str) -> str:
        mine = self._settings
        return {
            "invalid_grant": f"set RUNBOOK_KEYCLOAK_PASSWORD to the password of {mine.username}",
            "not_setup": f"clear the required actions of {mine.username} in Keycloak",
            "invalid_client": "set RUNBOOK_KEYCLOAK_CLIENT_ID, and RUNBOOK_KEYCLOAK_CLIENT_SECRET if it has one",
            "unauthorized_client": f"enable direct access grants on the client {mine.client_id}",
            "no_realm": f"set RUNBOOK_KEYCLOAK_REALM: {mine.realm} does not exist there",
        }.get(code, self._fix)


class _Connection(ConnectionManager):
    """python-keycloak's session, without what it would do on its own.

    It would send a login a second time when a connection breaks, follow a redirect with the password to another host,
    use proxies of the environment, and fail over error bodies that are not the JSON it expects.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(base_url=url, timeout=ceil(timeout_s), max_retries=0)
        self._s.trust_env = False
        self._s.max_redirects = 0

    def raw_post(self, path: str, data: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - the library's
        """Post as the library does; raise KeycloakPostError, with the body as it came, for every status but 200."""
        response = super().raw_post(path, data, **kwargs)
        if response.status_code != HTTPStatus.OK:
            raise KeycloakPostError(response_code=response.status_code, response_body=response.content)
        return response


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
