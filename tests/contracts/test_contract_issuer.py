"""Keycloak's part: tokens, discovery and the refusals that FAULTS tells apart."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from jwcrypto.jwk import JWKSet
from jwcrypto.jwt import JWT

from runbook.local_stack.layout import Layout
from runbook.settings import LOCAL, load_target
from tests.contracts.contract_parts import (
    HTTP_TIMEOUT_S,
    PLAYERS,
    REAL,
    Program,
    eventually,
    free_port,
    reachable,
    running,
    token,
)

PASSWORD = "open sesame"  # noqa: S105 - a test user's
NO_GRANTS = "no-grants"
LOCKING = "locking"
REALM = {
    "enabled": True,
    "sslRequired": "none",
    "clients": [{"clientId": "aetherlink-gateway", "publicClient": True, "directAccessGrantsEnabled": True}],
    "users": [
        {
            "username": "demo",
            "enabled": True,
            "firstName": "D",
            "lastName": "D",
            "email": "demo@test.com",
            "credentials": [{"type": "password", "value": "demo"}],
        }
    ],
}
BROKEN_REALMS: dict[str, tuple[dict[str, object], str, dict[str, str]]] = {
    "disabled": (
        {"enabled": False},
        "--realm-off",
        {"error": "access_denied", "error_description": "Realm not enabled"},
    ),
    "https": (
        {"sslRequired": "all"},
        "--wants-https",
        {"error": "invalid_request", "error_description": "HTTPS required"},
    ),
}
"""By name: what makes a realm of Keycloak so, which option the stand-in, and what a login is answered then."""


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Program]]:
    """Address of an issuer with the users demo, new and off; new has to set up the account, off is disabled."""
    port, folder = free_port(), tmp_path_factory.mktemp("issuer")
    users = {"STANDIN_USERS": f"demo:demo,new:{PASSWORD},off:{PASSWORD}"}
    options = ("--port", str(port), "--not-set-up", "new", "--disabled", "off")
    with running("issuer", *options, output=folder / "log", environment=users) as program:
        reachable(program, port)
        yield f"http://127.0.0.1:{port}", program


@pytest.fixture(scope="module")
def real(real_stack: Path) -> str:
    """Address of a real Keycloak, with the stand-in's users, a client without direct grants, and broken realms."""
    address = load_target(LOCAL, directory=real_stack).keycloak.url
    admin = requests.Session()
    admin.headers["Authorization"] = f"Bearer {_admin_token(address, Layout.of(real_stack))}"
    user = {"username": "new", "enabled": True, "requiredActions": ["UPDATE_PASSWORD"]}
    disabled = {"username": "off", "enabled": False, "email": "off@test.com", "firstName": "O", "lastName": "F"}
    client = {"clientId": NO_GRANTS, "publicClient": True, "directAccessGrantsEnabled": False}
    credentials = {"credentials": [{"type": "password", "value": PASSWORD}]}
    entities = [("realms/aetherlink/users", user | credentials), ("realms/aetherlink/users", disabled | credentials)]
    entities += [("realms/aetherlink/clients", client)]
    entities += [("realms", REALM | {"realm": name} | changed) for name, (changed, _, _) in BROKEN_REALMS.items()]
    entities += [("realms", REALM | {"realm": LOCKING, "bruteForceProtected": True, "failureFactor": 1})]
    for path, entity in entities:
        answer = admin.post(f"{address}/admin/{path}", json=entity, timeout=HTTP_TIMEOUT_S)
        assert answer.status_code == 201, answer.text
    return address


@pytest.fixture(params=PLAYERS)
def issuer(request: pytest.FixtureRequest) -> str:
    """Address of the part under test."""
    if request.param == REAL:
        return str(request.getfixturevalue("real"))
    return str(request.getfixturevalue("stand_in")[0])


def test_the_token_carries_the_claims_of_the_facts(issuer: str) -> None:
    """Its signature verifies with a published key; it is a bearer token of demo, of tenant acme, alive now."""
    answer = token(issuer)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")
    claims = _verified(issuer, answer.json()["access_token"])
    assert tuple(claims[name] for name in ("preferred_username", "tenant_id", "azp", "typ")) == (
        "demo",
        "acme",
        "aetherlink-gateway",
        "Bearer",
    )
    assert {"iss", "aud", "sub", "exp", "iat", "jti", "scope"} <= claims.keys()
    assert answer.json()["expires_in"] == claims["exp"] - claims["iat"]
    assert claims["iat"] <= time.time() + 1


def test_discovery_names_the_issuer_of_the_tokens(issuer: str) -> None:
    address = f"{issuer}/realms/aetherlink/.well-known/openid-configuration"
    document = requests.get(address, timeout=HTTP_TIMEOUT_S).json()
    claims = _verified(issuer, token(issuer).json()["access_token"])
    assert claims["iss"] == document["issuer"]
    assert document["token_endpoint"].endswith("/realms/aetherlink/protocol/openid-connect/token")


def test_a_refresh_token_buys_another_access_token(issuer: str) -> None:
    first = token(issuer).json()
    second = token(issuer, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status_code == 200
    assert _verified(issuer, second.json()["access_token"])["preferred_username"] == "demo"


def test_realm_facts_are_public(issuer: str) -> None:
    document = requests.get(f"{issuer}/realms/aetherlink", timeout=HTTP_TIMEOUT_S).json()
    assert document["realm"] == "aetherlink"
    assert document["public_key"]


@pytest.mark.parametrize(
    ("form", "statuses", "error", "description"),
    [
        pytest.param({"password": "wrong"}, {400, 401}, "invalid_grant", "Invalid user credentials", id="password"),
        pytest.param({"username": "nobody"}, {400, 401}, "invalid_grant", "Invalid user credentials", id="user"),
        pytest.param({"username": ""}, {400, 401}, "invalid_grant", "Invalid user credentials", id="empty user"),
        pytest.param({"password": None}, {400, 401}, "invalid_grant", "Invalid user credentials", id="no password"),
        pytest.param({"username": None}, {401}, "invalid_request", "Missing parameter: username", id="no user"),
        pytest.param(
            {"client_id": "nobody"},
            {401},
            "invalid_client",
            "Invalid client or Invalid client credentials",
            id="client",
        ),
        pytest.param({"grant_type": "magic"}, {400}, "unsupported_grant_type", "Unsupported grant_type", id="grant"),
        pytest.param(
            {"grant_type": None}, {400}, "invalid_request", "Missing form parameter: grant_type", id="no grant"
        ),
        pytest.param(
            {"grant_type": "refresh_token", "refresh_token": "x.y.z"},
            {400},
            "invalid_grant",
            "Invalid refresh token",
            id="refresh token",
        ),
        pytest.param(
            {"grant_type": "refresh_token"}, {400}, "invalid_request", "No refresh token", id="no refresh token"
        ),
        pytest.param(
            {"username": "new", "password": PASSWORD},
            {400},
            "invalid_grant",
            "Account is not fully set up",
            id="set up",
        ),
        pytest.param(
            {"username": "off", "password": PASSWORD}, {400}, "invalid_grant", "Account disabled", id="disabled"
        ),
        pytest.param(
            {"username": "off", "password": "wrong"},
            {400, 401},
            "invalid_grant",
            "Invalid user credentials",
            id="disabled, and a wrong password",
        ),
    ],
)
def test_a_refusal_has_its_own_code_and_words(
    issuer: str, form: dict[str, str | None], statuses: set[int], error: str, description: str
) -> None:
    """The status of wrong credentials differs by version: 401 of Keycloak 25, 400 of 26.7. The rest does not."""
    answer = token(issuer, **form)
    assert answer.json() == {"error": error, "error_description": description}
    assert answer.status_code in statuses


def test_an_unknown_realm_is_404(issuer: str) -> None:
    answer = requests.get(f"{issuer}/realms/other", timeout=HTTP_TIMEOUT_S)
    assert (answer.status_code, answer.json()["error"]) == (404, "Realm does not exist")


def test_another_path_is_404_and_says_nothing_of_a_realm(issuer: str) -> None:
    answer = requests.get(f"{issuer}/auth/realms/aetherlink", timeout=HTTP_TIMEOUT_S)
    assert (answer.status_code, answer.json()) == (404, {"error": "Unable to find matching target resource method"})


@pytest.mark.parametrize("name", BROKEN_REALMS)
def test_a_realm_can_refuse_every_login_and_show_its_page(tmp_path: Path, name: str) -> None:
    port, (_, option, said) = free_port(), BROKEN_REALMS[name]
    with running("issuer", "--port", str(port), option, output=tmp_path / "log") as program:
        reachable(program, port)
        _shows_its_page_and_refuses(f"http://127.0.0.1:{port}", "aetherlink", said)


@pytest.mark.real
@pytest.mark.stack
@pytest.mark.xdist_group("real parts")
@pytest.mark.parametrize("name", BROKEN_REALMS)
def test_keycloak_says_the_same_of_such_a_realm(real: str, name: str) -> None:
    _shows_its_page_and_refuses(real, name, BROKEN_REALMS[name][2])


def test_an_account_can_be_locked(tmp_path: Path) -> None:
    port = free_port()
    with running("issuer", "--port", str(port), "--locked", "demo", output=tmp_path / "log") as program:
        reachable(program, port)
        _is_refused_as_a_wrong_password(f"http://127.0.0.1:{port}", "aetherlink")


@pytest.mark.real
@pytest.mark.stack
@pytest.mark.xdist_group("real parts")
def test_keycloak_says_of_a_locked_account_what_it_says_of_a_wrong_password(real: str) -> None:
    """So nobody can tell the two apart from outside. Keycloak counts the failures a moment after it has answered."""

    def locked() -> bool | None:
        _login(real, LOCKING, password="wrong")  # noqa: S106 - wrong on purpose
        return _login(real, LOCKING).status_code != 200 or None

    eventually(locked, "demo is locked")
    _is_refused_as_a_wrong_password(real, LOCKING)


def test_paths_can_be_below_another(tmp_path: Path) -> None:
    port = free_port()
    with running("issuer", "--port", str(port), "--prefix", "/auth", output=tmp_path / "log") as program:
        reachable(program, port)
        address = f"http://127.0.0.1:{port}"
        assert requests.get(f"{address}/realms/aetherlink", timeout=HTTP_TIMEOUT_S).status_code == 404
        assert token(f"{address}/auth").status_code == 200


def test_the_log_names_requests_and_no_secret(stand_in: tuple[str, Program]) -> None:
    """After a login neither the password nor the token stands in the log."""
    address, program = stand_in
    secret = token(address, username="new", password=PASSWORD).text, token(address).json()["access_token"]
    assert "POST /realms/aetherlink/protocol/openid-connect/token 200" in program.log()
    assert not any(text in program.log() for text in (PASSWORD, *secret))


def test_direct_grants_can_be_off(tmp_path: Path) -> None:
    port = free_port()
    with running("issuer", "--port", str(port), "--no-direct-grants", output=tmp_path / "log") as program:
        reachable(program, port)
        _refuses_direct_grants(f"http://127.0.0.1:{port}", "aetherlink-gateway")
        assert program.end() == 0


@pytest.mark.real
@pytest.mark.stack
@pytest.mark.xdist_group("real parts")
def test_keycloak_says_the_same_of_direct_grants(real: str) -> None:
    _refuses_direct_grants(real, NO_GRANTS)


def test_faults_of_the_token_can_be_asked_for(tmp_path: Path) -> None:
    """Another public address shows in `iss`; the tenant's claim can be missing; a lifetime can be short."""
    port = free_port()
    options = ("--no-tenant-claim", "--issuer-url", "http://elsewhere", "--token-lifetime", "7")
    with running("issuer", "--port", str(port), *options, output=tmp_path / "log") as program:
        reachable(program, port)
        address = f"http://127.0.0.1:{port}"
        claims = _verified(address, token(address).json()["access_token"])
    assert "tenant_id" not in claims
    assert claims["iss"] == "http://elsewhere/realms/aetherlink"
    assert claims["exp"] - claims["iat"] == 7


def _verified(issuer: str, access_token: str) -> dict[str, Any]:
    address = f"{issuer}/realms/aetherlink/protocol/openid-connect/certs"
    keys = JWKSet.from_json(requests.get(address, timeout=HTTP_TIMEOUT_S).text)
    claims: dict[str, str | int] = json.loads(JWT(jwt=access_token, key=keys, algs=["RS256"]).claims)
    return claims


def _refuses_direct_grants(issuer: str, client: str) -> None:
    answer = token(issuer, client_id=client)
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "unauthorized_client",
        "error_description": "Client not allowed for direct access grants",
    }


def _login(issuer: str, realm: str, **form: str) -> requests.Response:
    fields = {"grant_type": "password", "client_id": "aetherlink-gateway", "username": "demo", "password": "demo"}
    address = f"{issuer}/realms/{realm}/protocol/openid-connect/token"
    return requests.post(address, data=fields | form, timeout=HTTP_TIMEOUT_S)


def _shows_its_page_and_refuses(issuer: str, realm: str, said: dict[str, str]) -> None:
    page, login = requests.get(f"{issuer}/realms/{realm}", timeout=HTTP_TIMEOUT_S), _login(issuer, realm)
    assert (page.status_code, page.json()["realm"]) == (200, realm)
    assert (login.status_code, login.json()) == (403, said)


def _is_refused_as_a_wrong_password(issuer: str, realm: str) -> None:
    right, wrong = _login(issuer, realm), _login(issuer, realm, password="wrong")  # noqa: S106 - wrong on purpose
    assert right.json() == wrong.json() == {"error": "invalid_grant", "error_description": "Invalid user credentials"}
    assert right.status_code == wrong.status_code


def _admin_token(address: str, layout: Layout) -> str:
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
    form["password"] = layout.keycloak_admin.read_text(encoding="ascii")
    answer = requests.post(f"{address}/realms/master/protocol/openid-connect/token", data=form, timeout=HTTP_TIMEOUT_S)
    return str(answer.json()["access_token"])
