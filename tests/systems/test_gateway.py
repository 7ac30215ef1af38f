"""The gateway's answers as TARGET_ENVIRONMENT.md states them, each to its own code."""

import socket
import traceback
from datetime import UTC, datetime

import pytest

from runbook.errors import AnswerError, UnreachableError
from runbook.systems.gateway.client import EntityAnswer, Gateway
from runbook.systems.gateway.settings import GatewaySettings
from tests.systems.loopback_servers import MakeServer, Reply, ScriptedServer

TOKEN = "eyJhbGciOi.eyJ0ZW5hbnQi.c2lnbmF0dXJl"  # noqa: S105 - a test's own
LEAD = {"id": 17, "tenant_id": "acme", "name": "N", "email": "n@test.com", "source": "s"}


@pytest.fixture
def gateway(server: ScriptedServer) -> Gateway:
    return Gateway(GatewaySettings(url=server.url), TOKEN, timeout_s=5)


def create_lead(gateway: Gateway) -> EntityAnswer:
    return gateway.create_lead(name="N", email="n@test.com", source="s")


def create_job(gateway: Gateway) -> EntityAnswer:
    return gateway.create_job(lead_id=17, title="T", status="Open", description="D")


@pytest.mark.parametrize("status", [200, 201])
def test_created_lead_is_returned_with_its_times(gateway: Gateway, server: ScriptedServer, status: int) -> None:
    server.routes["POST /leads"] = Reply(status, LEAD)

    lead = create_lead(gateway)

    assert (lead.id, lead.tenant_id, lead.status, lead.body) == (17, "acme", status, LEAD)
    assert lead.sent_at <= lead.answered_at
    seen = server.seen[0]
    assert seen.json == {"name": "N", "email": "n@test.com", "source": "s"}
    assert seen.headers["Host"] == "apexflow.aetherlink.local"
    assert seen.headers["Authorization"] == f"Bearer {TOKEN}"


def test_created_job_is_returned(gateway: Gateway, server: ScriptedServer) -> None:
    server.routes["POST /jobs"] = Reply(201, {"id": 3, "tenant_id": "acme", "lead_id": 17})

    assert create_job(gateway).id == 3
    assert server.seen[0].json == {"lead_id": 17, "title": "T", "status": "Open", "description": "D"}


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (404, b"404 page not found\n", "no_route", "No route for the host apexflow.aetherlink.local"),
        (404, {"detail": "Lead not found"}, "not_found", "Lead not found"),
        (409, {"detail": "exists"}, "duplicate", "e-mail n@test.com"),
        (401, {"detail": "invalid token"}, "unauthorized", "refused the token"),
        (401, {"detail": "invalid issuer: http://a, expected http://b"}, "issuer", "because of its issuer"),
        (401, {"detail": "token expired"}, "time", "because of its times"),
        (401, {"detail": "token used before issued"}, "time", "because of its times"),
        (401, {"detail": "wrong audience"}, "audience", "because of its audience"),
        (401, {"detail": "invalid token signature"}, "keys", "cannot check the token"),
        (503, {"detail": "cannot fetch the keys of http://kc"}, "keys", "cannot check the token"),
        (429, b"Too Many Requests", "limited", "no more requests"),
        (403, {"detail": "tenant mismatch"}, "forbidden", "tenant mismatch"),
        (400, {"detail": "Tenant required"}, "tenant_required", "names no tenant"),
        (400, {"detail": "bad"}, "bad_request", "refused the request"),
        (422, {"detail": "email"}, "invalid", "refused the data"),
        (500, {"detail": "db"}, "server_error", "The API failed"),
        (502, b"Bad Gateway", "upstream", "no answer from the gateway, or the gateway no answer from ApexFlow"),
        (502, {"detail": "upstream unreachable"}, "upstream", "The gateway got no answer from ApexFlow"),
        (503, b"", "upstream", "no answer from ApexFlow"),
        (504, b"", "upstream", "no answer from ApexFlow"),
        (302, b"", "redirect", "302"),
        (418, b"", "server_error", "The API failed"),
    ],
)
def test_every_refusal_has_its_own_code(
    gateway: Gateway, server: ScriptedServer, *, status: int, body: object, code: str, said: str
) -> None:
    server.routes["POST /leads"] = Reply(status, body)

    with pytest.raises(AnswerError, match=said) as caught:
        create_lead(gateway)

    assert (caught.value.code, caught.value.status) == (code, status)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert len(server.seen) == 1


def test_conflict_of_a_job_is_a_duplicate_too(gateway: Gateway, server: ScriptedServer) -> None:
    server.routes["POST /jobs"] = Reply(409, {"detail": "exists"})

    with pytest.raises(AnswerError) as caught:
        create_job(gateway)

    assert caught.value.code == "duplicate"


@pytest.mark.parametrize("body", [b"<html>", {"id": "17", "tenant_id": "acme"}, {"id": 17}, [], {"ok": True}])
def test_success_without_a_lead_is_an_error(gateway: Gateway, server: ScriptedServer, body: object) -> None:
    """A 200 from something else (a sign-in page, a proxy) is not a created lead."""
    server.routes["POST /leads"] = Reply(200, body)

    with pytest.raises(AnswerError):
        create_lead(gateway)


def test_lost_answer_is_never_sent_again(raw_server: MakeServer) -> None:
    """Nobody knows whether the lead was created: a second POST could create it twice."""
    lost = raw_server(lambda *_: None)

    with pytest.raises(UnreachableError) as caught:
        create_lead(Gateway(GatewaySettings(url=lost.url), TOKEN))

    assert (caught.value.reason, lost.connections) == ("broken", 1)
    assert TOKEN not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "is_proxy_404"),
    [
        (404, {"detail": "Lead not found"}, False),
        (404, b"404 page not found", True),
        (422, {}, False),
        (502, b"", False),
    ],
)
def test_probe_asks_for_a_job_that_cannot_be_made(
    gateway: Gateway, server: ScriptedServer, status: int, body: object, is_proxy_404: bool
) -> None:
    """Lead 0 exists nowhere; every answer is a fact, none an exception."""
    server.routes["POST /jobs"] = Reply(status, body)

    answer = gateway.probe()

    assert (answer.status, answer.is_proxy_404) == (status, is_proxy_404)
    assert answer.saw.startswith(str(status))
    assert answer.date is not None
    assert abs(datetime.now(UTC) - answer.date).total_seconds() < 60
    assert server.seen[0].json["lead_id"] == 0
    gateway.close()


@pytest.mark.parametrize("date", [b"", b"Date: yesterday\r\n"])
def test_probe_without_a_usable_date_has_none(raw_server: MakeServer, date: bytes) -> None:
    def undated(connection: socket.socket, _: object) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\n" + date + b"Content-Length: 0\r\n\r\n")

    assert Gateway(GatewaySettings(url=raw_server(undated).url), TOKEN).probe().date is None
