"""The HTTP API of the previous sink: newest events, rejected messages, and replays."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from sink.decoding import RejectReason
from sink.event_api import event_routes
from sink.http_server import HttpServer, Request, Route
from sink.journal.model import JournalEntry, Position
from sink.settings import load_settings
from tests.sink.journals import JournalAddress, message_run, sqlite_address
from tests.sink.mock_kafka import MockKafka
from tests.sink.sink_process import LEADS, event

KEY = b"acme:lead:17"


@pytest.fixture
def filled(tmp_path: Path) -> JournalAddress:
    """A journal with three events and a rejected message."""
    address = sqlite_address(tmp_path)
    journal = address.opened()
    journal.set_positions({(LEADS, 0): (None, Position(next_offset=0, cluster="c"))})
    events = [(n, "acme", "lead.created", None, KEY, event("acme")) for n in range(3)]
    kept = message_run(LEADS, *events, (3, None, None, RejectReason.EMPTY, None, b""))
    journal.write(
        JournalEntry(
            moves={(LEADS, 0): (0, 4)},
            ingested={("acme", LEADS): 3},
            rejected={(LEADS, RejectReason.EMPTY): 1},
            message_runs=[kept],
        )
    )
    journal.close()
    return address


@contextmanager
def served(address: JournalAddress, kafka: MockKafka | None = None, **env: str) -> Iterator[str]:
    """Serve the pages and yield their address."""
    bootstrap = kafka.bootstrap if kafka else "127.0.0.1:1"
    env = {"KAFKA_BOOTSTRAP": bootstrap, **address.env(SINK_JOURNAL_EVENTS="rows"), **env}
    server = HttpServer("127.0.0.1", 0, event_routes(load_settings(env)))
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    server.server_close()


def test_latest(filled: JournalAddress) -> None:
    """The newest events come first, in the columns that were always shown."""
    with served(filled) as url:
        events = requests.get(f"{url}/events/latest?limit=2", timeout=5).json()
        assert [found["id"] for found in events] == [3, 2]
        assert set(events[0]) == {"id", "tenant_id", "topic", "received_at"}
        assert len(requests.get(f"{url}/events/latest", timeout=5).json()) == 3
        assert requests.get(f"{url}/events/latest?limit=all", timeout=5).status_code == 400


def test_dlq(filled: JournalAddress) -> None:
    """What was rejected is listed with its place and the reason."""
    with served(filled) as url:
        (letter,) = requests.get(f"{url}/dlq", timeout=5).json()
    assert (letter["topic"], letter["partition"], letter["offset"], letter["reason"]) == (LEADS, 0, 3, "empty")


def test_replay(filled: JournalAddress, kafka: MockKafka) -> None:
    """An event goes back to its topic with its key, marked; the mark counts up when the replay is replayed."""
    kafka.create(LEADS, 1)
    with served(filled, kafka) as url:
        answer = requests.post(f"{url}/replay/2", json={"a": "body that nobody reads"}, timeout=10)
        assert answer.json() == {"status": "replayed", "id": 2, "topic": LEADS}
        odd = requests.post(f"{url}/replay/99", headers={"Content-Length": "-1"}, timeout=5)
        assert odd.status_code == 404
        statuses = [requests.post(f"{url}/replay/{n}", timeout=5).status_code for n in ("99", "x", "4")]
        assert statuses == [404, 400, 409]
        assert requests.get(f"{url}/replay/2", timeout=5).status_code == 404
    (message,) = kafka.read(LEADS, 1)
    assert message.key() == KEY
    marks = {"replay_count": 1, "replay_source": "crm-events-sink:2"}
    assert json.loads(message.value() or b"") == {**json.loads(event("acme")), **marks}


def test_replay_without_kafka(filled: JournalAddress) -> None:
    """Kafka is away: the answer says so, and the event is not sent later."""
    with served(filled, KAFKA_MESSAGE_TIMEOUT_MS="300") as url:
        answer = requests.post(f"{url}/replay/2", timeout=15)
    assert answer.status_code == 502
    assert answer.json()["detail"].startswith("Kafka did not acknowledge it: ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer s3cret"}, 404),
    ],
)
def test_token(filled: JournalAddress, headers: dict[str, str], status: int) -> None:
    """With a token set, a POST must bear it, from loopback too; reading is free."""
    with served(filled, SINK_API_TOKEN="s3cret") as url:  # noqa: S106  # a token of the test
        assert requests.post(f"{url}/replay/99", headers=headers, timeout=5).status_code == status
        assert requests.get(f"{url}/events/latest", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("client", "origin", "status"),
    [
        ("127.0.0.1", "", 404),
        ("::1", "", 404),
        ("::ffff:127.0.0.1", "", 404),
        ("172.17.0.1", "", 403),
        ("127.0.0.1", "https://evil.example", 403),
    ],
)
def test_without_a_token(filled: JournalAddress, client: str, origin: str, status: int) -> None:
    """Without a token only a program on this host may replay: no other host, and no page in a browser."""
    route: Route = event_routes(load_settings(filled.env(SINK_JOURNAL_EVENTS="rows")))["POST /replay/"]
    request = Request(headers={}, query="", last_segment="99", client=client)
    if origin:
        request = replace(request, headers={"Origin": origin})
    assert route(request).status == status


def test_nothing_is_kept(tmp_path: Path) -> None:
    """Without kept messages each page says what to set; without a journal file it says what is missing."""
    for name, value in (("SINK_JOURNAL", "none"), ("SINK_JOURNAL_EVENTS", "counts")):
        with served(sqlite_address(tmp_path), None, **{name: value}) as url:
            answer = requests.get(f"{url}/events/latest", timeout=5)
            assert (answer.status_code, "SINK_JOURNAL_EVENTS=rows" in answer.json()["detail"]) == (501, True)
    with served(sqlite_address(tmp_path)) as url:
        assert requests.get(f"{url}/dlq", timeout=5).status_code == 503
