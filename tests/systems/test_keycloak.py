"""Keycloak's answers to a login, by status and error code, through python-keycloak."""

import json
import traceback
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote_plus

import pytest

from runbook.errors import AnswerError, UnreachableError
from runbook.systems.keycloak.client import Keycloak
from runbook.systems.keycloak.settings import KeycloakSettings
from tests.systems.loopback_servers import MakeServer, Reply, ScriptedServer

PASSWORD, SECRET = "pä55 wörd", "client+secret"
TOKEN_PATH = "POST /realms/aetherlink/protocol/openid-connect/token"  # noqa: S105 - a path
CLAIMS = {"iss": "http://kc/realms/aetherlink", "preferred_username": "demo", "tenant_id": "acme"}


def jwt(claims: object) -> str:
    parts = (json.dumps({"alg": "RS256"}), claims if isinstance(claims, str) else json.dumps(claims), "signature")
    return ".".join(urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


@pytest.fixture
def keycloak(server: ScriptedServer) -> Keycloak:
    return Keycloak(KeycloakSettings(url=server.url, password=PASSWORD, client_secret=SECRET), timeout_s=5)


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + getattr(error, "body", "")


def test_token_shows_its_claims_but_never_itself(keycloak: Keycloak, server: ScriptedServer) -> None:
    value = jwt(CLAIMS | {"iat": 1762199331, "exp": 1762199631})
    server.routes[TOKEN_PATH] = Reply(200, {"access_token": value})

    token = keycloak.token()

    assert (token.value, token.tenant_id, token.username) == (value, "acme", "demo")
    assert token.issuer == "http://kc/realms/aetherlink"
    assert token.issued_at == datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)
    assert token.expires_at is not None
    assert (token.expires_at - token.issued_at).total_seconds() == 300
    assert value not in repr(token)
    form = parse_qs(server.seen[0].body.decode())
    assert (form["username"], form["password"], form["grant_type"]) == (["demo"], [PASSWORD], ["password"])
    assert form["client_id"] == ["aetherlink-gateway"]
    keycloak.close()


@pytest.mark.parametrize("tenant", [{}, {"tenant_id": ""}, {"tenant_id": ["acme"]}, {"tenant_id": None}])
def test_token_without_a_usable_tenant_has_none(
    keycloak: Keycloak, server: ScriptedServer, tenant: dict[str, object]
) -> None:
    """A list or an empty text is a wrong mapper, not a tenant."""
    server.routes[TOKEN_PATH] = Reply(200, {"access_token": jwt({"iss": "i"} | tenant)})

    token = keycloak.token()

    assert (token.tenant_id, token.issued_at, token.username) == (None, None, "")


@pytest.mark.parametrize(
    "body",
    [
        {"access_token": "opaque"},
        {"access_token": "a.b.c"},
        {"access_token": jwt("[1]")},
        {"access_token": jwt('{"exp": 1e300}')},
        {"access_token": jwt('{"exp": NaN}')},
        {"access_token": "a.é.c"},
        {"access_token": None},
        {"id_token": "a.b.c"},
        [],
        b"",
    ],
)
def test_success_without_a_jwt_is_an_error_of_its_own(keycloak: Keycloak, server: ScriptedServer, body: object) -> None:
    server.routes[TOKEN_PATH] = Reply(200, body)

    with pytest.raises(AnswerError, match="Keycloak") as caught:
        keycloak.token()

    assert (caught.value.status, caught.value.code) == (200, "not_a_token")


@pytest.mark.parametrize(
    ("status", "body", "code", "fix"),
    [
        (
            401,
            {"error": "invalid_grant", "error_description": "Invalid user credentials"},
            "invalid_grant",
            "_PASSWORD",
        ),
        (400, {"error": "invalid_grant", "error_description": "Account is not fully set up"}, "not_setup", "required"),
        (401, {"error": "invalid_client"}, "invalid_client", "_CLIENT_ID"),
        (400, {"error": "unauthorized_client"}, "unauthorized_client", "direct access grants"),
        (401, {"error": "unauthorized_client"}, "invalid_client", ""),
        (404, {"error": "Realm does not exist"}, "no_realm", "_REALM"),
        (400, {"error": "invalid_grant", "error_description": "Account disabled"}, "disabled", "enable the user demo"),
        (400, {"error": "invalid_grant", "error_description": "Account temporarily disabled"}, "locked", "unlock demo"),
        (403, {"error": "invalid_request", "error_description": "HTTPS required"}, "https", "_URL"),
        (403, {"error": "access_denied", "error_description": "Realm not enabled"}, "realm_off", "enable the realm"),
        (400, {"error": "invalid_client", "error_description": "Bearer-only not allowed"}, "invalid_client", ""),
        (404, {"error": "Unable to find matching target resource method"}, "no_path", "_URL"),
        (404, b"<html><title>404</title></html>", "no_path", "_URL"),
        (401, b"<html><title>401</title></html>", "unauthorized", "_PROXY_USERNAME"),
        (403, b"<html><title>Forbidden</title></html>", "forbidden", "_PROXY_USERNAME"),
        (429, b"slow down", "limited", "wait"),
        (502, b"Bad Gateway", "bad_gateway", "_URL"),
        (503, b"starting", "unavailable", "_URL"),
        (500, {"error": "unknown_error"}, "failed", "log of Keycloak"),
        (302, b"", "redirect", "_URL"),
        (418, {"error": ["odd"]}, "", "_URL"),
        (500, ["a list"], "failed", "log of Keycloak"),
    ],
)
def test_every_refusal_has_keycloaks_code_and_its_fix(
    keycloak: Keycloak, server: ScriptedServer, *, status: int, body: object, code: str, fix: str
) -> None:
    server.routes[TOKEN_PATH] = Reply(status, body)

    with pytest.raises(AnswerError, match="as user demo") as caught:
        keycloak.token()

    assert (caught.value.status, caught.value.code) == (status, code)
    assert fix in caught.value.fix


def test_login_is_sent_once_and_shows_no_secret_even_when_echoed(keycloak: Keycloak, server: ScriptedServer) -> None:
    """The library would send a login again; an error page that quotes the form shows *** instead."""
    server.routes[TOKEN_PATH] = lambda seen: Reply(
        500, seen.body + f" {PASSWORD} {json.dumps(PASSWORD)} {SECRET}".encode()
    )

    with pytest.raises(AnswerError) as caught:
        keycloak.token()

    for secret in (PASSWORD, quote_plus(PASSWORD), json.dumps(PASSWORD), SECRET, quote_plus(SECRET)):
        assert secret not in shown(caught.value)
    assert "***" in caught.value.body
    assert len(server.seen) == 1


def test_lost_answer_is_not_asked_for_again(raw_server: MakeServer) -> None:
    lost = raw_server(lambda *_: None)

    with pytest.raises(UnreachableError) as caught:
        Keycloak(KeycloakSettings(url=lost.url, password=PASSWORD)).token()

    assert (caught.value.reason, lost.connections) == ("broken", 1)
    assert PASSWORD not in shown(caught.value)


def test_redirected_login_never_carries_the_password_along(keycloak: Keycloak, server: ScriptedServer) -> None:
    """A 307 would make the library post the password to wherever it points."""
    server.routes[TOKEN_PATH] = Reply(307, headers={"Location": f"{server.url}/elsewhere"})

    with pytest.raises(AnswerError, match=r"307 \(to http://127.0.0.1:\d+/elsewhere\)"):
        keycloak.token()

    assert [seen.path for seen in server.seen] == [TOKEN_PATH.removeprefix("POST ")]


def test_refused_and_unknown_addresses(refused_url: str) -> None:
    for url, reason in ((refused_url, "refused"), ("http://no-such-host.invalid", "dns")):
        with pytest.raises(UnreachableError, match="RUNBOOK_KEYCLOAK_URL") as caught:
            Keycloak(KeycloakSettings(url=url, password=PASSWORD)).token()
        assert caught.value.reason == reason
        assert PASSWORD not in shown(caught.value)


def test_password_in_the_address_is_not_shown(refused_url: str) -> None:
    url = refused_url.replace("http://", "http://me:s3cret@")
    client = Keycloak(KeycloakSettings(url=url, password=PASSWORD))

    for ask in (client.token, client.realm):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert "s3cret" not in shown(caught.value)


def test_silent_keycloak_is_a_timeout(silent_url: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        Keycloak(KeycloakSettings(url=silent_url), timeout_s=1).token()

    assert caught.value.reason == "timeout"


def test_proxy_of_the_environment_never_gets_the_password(
    keycloak: Keycloak, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, refused_url: str
) -> None:
    monkeypatch.setenv("http_proxy", refused_url)
    server.routes[TOKEN_PATH] = Reply(200, {"access_token": jwt(CLAIMS)})

    assert keycloak.token().tenant_id == "acme"


@pytest.mark.parametrize(
    ("status", "said"), [(200, "aetherlink"), (404, "Realm does not exist"), (503, "starting")], ids=str
)
def test_realm_is_asked_without_credentials(keycloak: Keycloak, server: ScriptedServer, status: int, said: str) -> None:
    server.routes["GET /realms/aetherlink"] = Reply(status, {"realm": said})

    answer = keycloak.realm()

    assert (answer.status, answer.saw) == (status, f'{status} {{"realm": "{said}"}}')
    assert "Authorization" not in server.seen[0].headers


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(404, {"error": "Unable to find matching target resource method"}), "no_path"),
        (Reply(404, b"<html><title>404</title></html>", "text/html"), "no_path"),
        (Reply(200, b"<html><title>Sign in</title></html>", "text/html"), "page"),
        (Reply(503, b"<html><title>503 Service Temporarily Unavailable</title></html>", "text/html"), "unavailable"),
        (Reply(401, b"", headers={"WWW-Authenticate": "Basic"}), "unauthorized"),
        (Reply(429, b""), "limited"),
        (Reply(302, b"", headers={"Location": "http://elsewhere/"}), "redirect"),
        (Reply(502, b"Bad Gateway"), "bad_gateway"),
    ],
)
def test_what_is_no_answer_of_keycloak_is_told_apart(
    keycloak: Keycloak, server: ScriptedServer, reply: Reply, code: str
) -> None:
    """A proxy, a wrong path or a login page says nothing of the realm."""
    server.routes["GET /realms/aetherlink"] = reply

    with pytest.raises(AnswerError, match="Keycloak answered") as caught:
        keycloak.realm()

    assert (caught.value.status, caught.value.code) == (reply.status, code)
