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
from tests.contracts.contract_parts import HTTP_TIMEOUT_S, PLAYERS, REAL, Program, free_port, reachable, running, token

PASSWORD = "open sesame"  # noqa: S105 - a test user's
NO_GRANTS = "no-grants"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Program]]:
    """Address of an issuer with the users demo and new; new has to set up the account."""
    port, folder = free_port(), tmp_path_factory.mktemp("issuer")
    users = {"STANDIN_USERS": f"demo:demo,new:{PASSWORD}"}
    options = ("--port", str(port), "--not-set-up", "new")
    with running("issuer", *options, output=folder / "log", environment=users) as program:
        reachable(program, port)
        yield f"http://127.0.0.1:{port}", program


@pytest.fixture(scope="module")
def real(real_stack: Path) -> str:
    """Address of a real Keycloak, which gets the stand-in's user `new`, and a client without direct grants."""
    address = load_target(LOCAL, directory=real_stack).keycloak.url
    admin = requests.Session()
    admin.headers["Authorization"] = f"Bearer {_admin_token(address, Layout.of(real_stack))}"
    user = {"username": "new", "enabled": True, "requiredActions": ["UPDATE_PASSWORD"]}
    client = {"clientId": NO_GRANTS, "publicClient": True, "directAccessGrantsEnabled": False}
    credentials = {"credentials": [{"type": "password", "value": PASSWORD}]}
    for kind, entity in (("users", user | credentials), ("clients", client)):
        answer = admin.post(f"{address}/admin/realms/aetherlink/{kind}", json=entity, timeout=HTTP_TIMEOUT_S)
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


def _admin_token(address: str, layout: Layout) -> str:
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
    form["password"] = layout.keycloak_admin.read_text(encoding="ascii")
    answer = requests.post(f"{address}/realms/master/protocol/openid-connect/token", data=form, timeout=HTTP_TIMEOUT_S)
    return str(answer.json()["access_token"])
