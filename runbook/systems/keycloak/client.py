"""Keycloak: the token of the user who creates the test data, through python-keycloak."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runbook.errors import FOREIGN, AnswerError
from runbook.platforms import utc
from runbook.systems.http import HttpClient
from runbook.systems.http_answer import Answer
from runbook.systems.keycloak.meanings import KEYCLOAK_MEANINGS
from runbook.systems.keycloak.settings import KeycloakSettings

if TYPE_CHECKING:
    from requests import Response

    from runbook.systems.keycloak.openid import OpenId

_SUCCESSES: Final = range(200, 300)
_NAMES: Final = {"user": "username", "client": "client_id", "realm": "realm"}
_WITHOUT_AUTH: Final = "without /auth at its end: only Keycloak 16 and older have it"
_WITH_AUTH: Final = "with /auth at its end if it is Keycloak 16 or older"
_MOST_BYTES: Final = 1_000_000
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
    """What the realm's public page answered: 200, or a refusal by Keycloak itself. 404: there is no such realm.

    `took_s` is how long it took, in seconds.
    """

    status: int
    saw: str
    took_s: float = field(default=0.0, compare=False)


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
        self._realm_path = f"/realms/{settings.realm}"
        self._http = HttpClient(
            "Keycloak",
            settings.url,
            auth=settings.login("proxy_"),
            token=settings.bearer("proxy_"),
            secrets=(self._password, self._client_secret or ""),
            tls=settings.tls,
            address=settings.place_of("url"),
            meanings=KEYCLOAK_MEANINGS,
            places={
                "login": settings.login_places("proxy_"),
                "path": _WITHOUT_AUTH if settings.url.rstrip("/").endswith("/auth") else _WITH_AUTH,
                **{name: getattr(settings, field) for name, field in _NAMES.items()},
                **{f"{name}_place": settings.place_of(field) for name, field in _NAMES.items()},
                **{f"{name}_place": settings.place_of(name) for name in ("password", "client_secret")},
            },
            timeout_s=timeout_s,
            max_bytes=_MOST_BYTES,
            fix=self._fix,
        )
        self._where = f"POST {settings.url.rstrip('/')}{self._realm_path}/protocol/openid-connect/token"

    def token(self) -> Token:
        """Log in by password grant.

        Raises AnswerError with one of these codes: "no_realm", "no_path" (404 of something else), "https",
        "realm_off", "invalid_client", "unauthorized_client", "not_setup", "locked", "disabled", "invalid_grant",
        "not_a_token" for a success without a JWT, or one of those that any system has; UnreachableError and
        ProtocolError.
        """
        from keycloak.exceptions import KeycloakConnectionError, KeycloakError

        answers: list[Response] = []
        sent_at = datetime.now(UTC)
        try:
            found = self._openid(answers).token(self._settings.username, self._password)
        except KeycloakConnectionError as error:
            raise self._http.failure(error.__cause__ or error, self._where) from None
        except (KeycloakError, TypeError, RecursionError):  # the last two: its JSON is no object, or nested too deeply
            raise self._refused(self._http.answer(answers[-1], sent_at)) from None
        value = found.get("access_token")
        if not isinstance(value, str):
            raise self._no_token("Keycloak answered 200 without an access token")
        return self._decoded(value)

    def realm(self) -> RealmAnswer:
        """Ask for the realm's public page, without credentials.

        Raises AnswerError for what is no answer of Keycloak: code "no_path", or one of those that any system has.
        """
        answer = self._http.get(self._realm_path)
        is_refusal = answer.status not in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}
        if answer.is_html or (is_refusal and answer.unexpected().code != "no_realm"):
            raise answer.unexpected()
        return RealmAnswer(status=answer.status, saw=f"{answer.status} {answer.excerpt}", took_s=answer.took_s)

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._http.close()

    def _openid(self, answers: "list[Response]") -> "OpenId":
        """Return the library's client, which appends what it is answered to `answers`."""
        from runbook.systems.keycloak.openid import OpenId

        mine = self._settings
        self._http.session.hooks["response"] = [lambda answer, **_: answers.append(answer)]
        return OpenId(
            self._http.session,
            mine.url,
            realm=mine.realm,
            client_id=mine.client_id,
            client_secret=self._client_secret,
            timeout_s=self._timeout_s,
        )

    def _decoded(self, value: str) -> Token:
        try:
            claims = _claims(value)
            return Token(
                value=value,
                tenant_id=_text(claims.get("tenant_id")) or None,
                issuer=_text(claims.get("iss")),
                username=_text(claims.get("preferred_username")),
                issued_at=_moment(claims.get("iat")),
                expires_at=_moment(claims.get("exp")),
                claims=claims,
            )
        except (*FOREIGN, OSError):
            raise self._no_token("Keycloak's access token is not a JWT: its claims cannot be read") from None

    def _no_token(self, seen: str) -> AnswerError:
        return AnswerError(seen, where=self._where, fix=self._fix, status=HTTPStatus.OK, code="not_a_token")

    def _refused(self, answer: Answer) -> AnswerError:
        if answer.status in _SUCCESSES and not answer.is_html:
            return self._no_token(f"Keycloak answered {answer.status}, but not with JSON: {answer.excerpt}")
        said = _said(answer)
        why = f"{said.error} {said.error_description}".strip() or answer.excerpt
        seen = f"Keycloak refused the login: {answer.status}{answer.moved} {answer.quoted(why)}"
        return answer.unexpected(seen, where=f"{self._where} as user {self._settings.username}")


class _Said(msgspec.Struct, frozen=True):
    """An error body of OAuth 2 (RFC 6749, 5.2)."""

    error: str = ""
    error_description: str = ""


def _said(answer: Answer) -> _Said:
    try:
        return answer.read(_Said)
    except AnswerError:
        return _Said()


def _claims(token: str) -> dict[str, Any]:
    """Return the payload of a JWT, unchecked; ValueError, or another of FOREIGN, when it is none."""
    parts = token.split(".")
    if len(parts) != _JWT_PARTS or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("not three parts that a header can carry")
    return msgspec.json.decode(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), type=dict[str, Any])


def _text(claim: object) -> str:
    return claim if isinstance(claim, str) else ""


def _moment(epoch_s: object) -> datetime | None:
    if isinstance(epoch_s, bool) or not isinstance(epoch_s, int | float):
        return None
    return utc(epoch_s)
