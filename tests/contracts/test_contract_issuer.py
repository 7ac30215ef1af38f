"""Keycloak's part: tokens, discovery and the refusals that FAULTS tells apart."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from contract_parts import HTTP_TIMEOUT_S, Program, free_port, reachable, real_parts, running, token
from jwcrypto.jwk import JWKSet
from jwcrypto.jwt import JWT

PASSWORD = "open sesame"  # noqa: S105 - the stand-in's test user


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Program]]:
    """Address of an issuer with the users demo and new; new has to set up the account."""
    port, folder = free_port(), tmp_path_factory.mktemp("issuer")
    users = {"STANDIN_USERS": f"demo:demo,new:{PASSWORD}"}
    options = ("--port", str(port), "--not-set-up", "new")
    with running("issuer", *options, output=folder / "log", environment=users) as program:
        reachable(program, port)
        yield f"http://127.0.0.1:{port}", program


@pytest.fixture(params=[pytest.param(None, id="stand-in"), *real_parts("KEYCLOAK_URL")])
def issuer(request: pytest.FixtureRequest) -> str:
    """Address of the part under test; KEYCLOAK_URL lets a real Keycloak join, with the runbook's realm and user."""
    if request.param is None:
        return str(request.getfixturevalue("stand_in")[0])
    return str(request.param[0])


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
    ("form", "status", "error"),
    [
        ({"password": "wrong"}, 401, "invalid_grant"),
        ({"username": "nobody"}, 401, "invalid_grant"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x.y.z"}, 400, "invalid_grant"),
    ],
)
def test_a_refusal_has_its_own_status_and_code(issuer: str, form: dict[str, str], status: int, error: str) -> None:
    answer = token(issuer, **form)
    assert (status, error) == (answer.status_code, answer.json()["error"])


def test_an_unknown_realm_is_404(issuer: str) -> None:
    answer = requests.get(f"{issuer}/realms/other", timeout=HTTP_TIMEOUT_S)
    assert (answer.status_code, answer.json()["error"]) == (404, "Realm does not exist")


def test_an_account_with_required_actions_is_told_apart(stand_in: tuple[str, Program]) -> None:
    """400 with a description of its own, unlike the 401 of a wrong password."""
    answer = token(stand_in[0], username="new", password=PASSWORD)
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": "Account is not fully set up"}


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
        answer = token(f"http://127.0.0.1:{port}")
        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
        assert program.end() == 0


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


def _verified(issuer: str, access_token: str) -> dict[str, str | int]:
    address = f"{issuer}/realms/aetherlink/protocol/openid-connect/certs"
    keys = JWKSet.from_json(requests.get(address, timeout=HTTP_TIMEOUT_S).text)
    claims: dict[str, str | int] = json.loads(JWT(jwt=access_token, key=keys, algs=["RS256"]).claims)
    return claims
