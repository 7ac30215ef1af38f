"""Every client against every hostile server: an error of three parts within the deadline, and nothing else."""

import re
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from runbook.errors import AnswerError, ProtocolError, RunbookError, UnreachableError
from runbook.systems import http_session, timed_sockets
from runbook.systems.http import HttpClient
from tests.systems.every_client import ANY_ANSWER, CLIENTS, QUESTIONS
from tests.systems.hostile_servers import FOREIGN, GARBLED, JSON, SLOW, STATUS, answers
from tests.systems.loopback_servers import MakeServer, RawServer

TIMEOUT_S = 0.3
ENOUGH_S = 20.0
ONE_EACH = ["keycloak.token", "gateway.create_lead", "sink.page", "prometheus.rules", "alertmanager.alerts"]
ONE_EACH += ["grafana.datasources", "keycloak.realm"]


def ask(name: str, url: str, timeout_s: float = ENOUGH_S) -> object:
    """Ask one question, as a command does."""
    client = CLIENTS[name.partition(".")[0]](url, timeout_s)
    try:
        return (QUESTIONS | ANY_ANSWER)[name](client)
    finally:
        client.close()


def refused(name: str, url: str, timeout_s: float = ENOUGH_S) -> RunbookError:
    """Return the error of a question, which has its three parts."""
    with pytest.raises(RunbookError) as caught:
        ask(name, url, timeout_s)
    error = caught.value
    assert error.seen
    assert re.search(r"(GET|POST|DELETE) http://127.0.0.1:\d+", error.where)
    assert error.fix
    assert len(str(error)) < 2000
    return error


READABLE = {
    "keycloak.realm": {
        "promises less than nothing",
        "promises a word",
        "closes in its head",
        "sends cookies of 64 KB",
    },
    "sink.page": {"closes in its head", "sends cookies of 64 KB", "nothing", "no number"},
}
"""What is an answer for those who take any, and for the reader of a page an empty page."""


@pytest.mark.parametrize("behaviour", SLOW)
@pytest.mark.parametrize("name", ONE_EACH)
def test_answer_that_does_not_come_to_its_end_ends_at_the_deadline(
    raw_server: MakeServer, name: str, behaviour: str
) -> None:
    """Each of these servers goes on for as long as anybody listens."""
    error = refused(name, raw_server(SLOW[behaviour]).url, TIMEOUT_S)

    assert isinstance(error, UnreachableError)
    assert error.reason == "timeout"
    assert f"did not answer within {TIMEOUT_S} s" in error.seen


@pytest.mark.parametrize("behaviour", GARBLED)
@pytest.mark.parametrize("name", ONE_EACH)
def test_what_is_no_answer_is_an_error_of_three_parts(raw_server: MakeServer, name: str, behaviour: str) -> None:
    url = raw_server(GARBLED[behaviour]).url
    if behaviour in READABLE.get(name, ()):
        assert ask(name, url)
        return

    error = refused(name, url)

    assert isinstance(error, UnreachableError | ProtocolError | AnswerError)
    assert "timeout" not in getattr(error, "reason", "")


@pytest.mark.parametrize(
    ("behaviour", "reason", "said"),
    [
        ("closes at once", "broken", "closed the connection in the middle of an answer"),
        ("closes in its body", "broken", "closed the connection in the middle of an answer"),
        ("speaks SSH", "not_http", "answers something that is no HTTP: 'SSH-2.0-OpenSSH_9.2"),
        ("sends bytes of TLS", "plain_on_tls_port", "speaks TLS on this port, and was asked without"),
        ("sends 100,000 headers", "not_http", "got more than 100 headers"),
        ("sends what is no gzip", "not_http", "gzip"),
        ("sends a bomb of gzip", "too_large", "answers more than 20,000,000 bytes"),
        ("sends a body without an end", "too_large", "answers more than 20,000,000 bytes"),
        ("redirects with a body without an end", "too_large", "answers more than 20,000,000 bytes"),
    ],
)
def test_each_has_its_own_words(raw_server: MakeServer, behaviour: str, reason: str, said: str) -> None:
    error = refused("prometheus.rules", raw_server(GARBLED[behaviour]).url)

    assert said in error.seen
    assert reason == (error.code if isinstance(error, AnswerError) else getattr(error, "reason", ""))


def test_token_has_a_smaller_limit(raw_server: MakeServer) -> None:
    """python-keycloak reads through our session, and Keycloak's answers are small."""
    error = refused("keycloak.token", raw_server(GARBLED["sends a bomb in a bomb"]).url)

    assert "Keycloak answers more than 1,000,000 bytes" in error.seen


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("name", QUESTIONS)
def test_foreign_input_is_an_answer_that_cannot_be_read(raw_server: MakeServer, name: str, content: str) -> None:
    """Whatever a body does to who decodes it: one error, which says where it came from."""
    if content in READABLE.get(name, ()):
        assert ask(name, raw_server(answers(FOREIGN[content])).url)
        return

    error = refused(name, raw_server(answers(FOREIGN[content])).url)

    assert isinstance(error, AnswerError)
    assert error.status == 200
    assert len(error.body) <= 500


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("name", ANY_ANSWER)
def test_foreign_input_is_quoted_where_any_answer_will_do(raw_server: MakeServer, name: str, content: str) -> None:
    url = raw_server(answers(FOREIGN[content])).url
    if name == "keycloak.realm" and len(FOREIGN[content]) > 1_000_000:
        assert getattr(refused(name, url), "code", "") == "too_large"
        return
    if content == "a page" and name in NO_PAGE:
        assert getattr(refused(name, url), "code", "") == "page"
        return

    assert len(repr(ask(name, url))) < 1000


NO_PAGE = ("keycloak.realm", "prometheus.ready", "alertmanager.ready")
"""Those that tell a page for people from an answer of the system."""

TIMES = ["1e308", "-1e308", "1" + "0" * 400, "1e400", "true", '"soon"', "null", "{}", "[]"]
NUMBERS = ['"NaN"', '"1e999"', '"many"', '"' + "9" * 5000 + '"', "1", "true", "null", "{}"]
DATES = [
    '"0001-01-01T00:00:00+14:00"',
    '"9999-12-31T23:59:59-14:00"',
    '"2020-99-99T00:00:00Z"',
    '"soon"',
    "1e308",
    "true",
]


def success(data: str) -> bytes:
    return b'{"status":"success","data":%s}' % data.encode()


def alert(at: str) -> bytes:
    parts = '"labels":{},"annotations":{},"receivers":[],"status":{"state":"a","silencedBy":[],"inhibitedBy":[]}'
    return f'[{{{parts},"startsAt":{at}}}]'.encode()


def silence(at: str) -> bytes:
    parts = '"id":"i","matchers":[],"createdBy":"c","comment":"","status":{"state":"active"}'
    return f'[{{{parts},"startsAt":"2020-01-01T00:00:00Z","endsAt":{at}}}]'.encode()


def column(times: str, value: str) -> bytes:
    fields = '[{"name":"t","type":"time"},{"name":"v","type":"number"}]'
    frame = f'{{"schema":{{"fields":{fields}}},"data":{{"values":[[{times}],[{value}]]}}}}'
    return f'{{"results":{{"A":{{"frames":[{frame}]}}}}}}'.encode()


def result(kind: str, held: str) -> bytes:
    return success(f'{{"resultType":"{kind}","result":{held}}}')


def wrong_places() -> Iterator[tuple[str, bytes]]:
    """Yield questions, each with an answer of the right shape that holds what nothing can hold."""
    for at in TIMES:
        yield "prometheus.query", result("vector", f'[{{"metric":{{}},"value":[{at},"1"]}}]')
        yield "prometheus.query", result("scalar", f'[{at},"1"]')
        yield "prometheus.samples", result("matrix", f'[{{"metric":{{}},"values":[[{at},"1"]]}}]')
        yield "grafana.query", column(at, "1")
    for at in DATES:
        yield "alertmanager.alerts", alert(at)
        yield "alertmanager.silences", silence(at)
    for value in ("true", '"many"', "{}", "[]"):
        yield "grafana.query", column("1", value)
    for text in (b"NaN", b"1e999", b"many"):
        yield "sink.page", b'crm_events_ingested_total{tenant_id="a",topic="t"} %s\n' % text
    for number in (b"9" * 5000, b"", b"1e3"):
        yield "sink.page", b'crm_events_next_offset{topic="t",partition="%s"} 1\n' % number
    yield "sink.page", b'crm_events_next_offset{topic="t",partition="0"} +Inf\n'
    yield "sink.page", b"up 1\n" * 200_001
    yield "sink.page", b"up{" + b'a="",' * 30_000 + b"} 1\n"
    for yaml in ("[" * 10_000, "a: " + "1" * 100_000, "scrape_configs: [null]", "- a\\n" * 400_000):
        yield "prometheus.config", success(f'{{"yaml":"{yaml}"}}')
    yield "prometheus.config", success('{"yaml":"global: {scrape_interval: 2020-99-99}"}')


WRONG_PLACES = [*wrong_places()]


@pytest.mark.parametrize(
    ("name", "body"),
    WRONG_PLACES,
    ids=[f"{name}-{number}" for number, (name, _) in enumerate(WRONG_PLACES)],
)
def test_number_or_time_that_nothing_can_hold_is_an_error(raw_server: MakeServer, name: str, body: bytes) -> None:
    kind = b"text/plain" if name == "sink.page" else b"application/json"

    assert isinstance(refused(name, raw_server(answers(body, kind)).url), AnswerError)


@pytest.mark.parametrize("value", NUMBERS)
def test_value_of_an_alert_that_is_no_number(raw_server: MakeServer, value: str) -> None:
    """NaN and infinities are values of Prometheus; whatever is no text is none."""
    held = f'{{"labels":{{}},"annotations":{{}},"state":"firing","activeAt":null,"value":{value}}}'
    rule = '"name":"r","type":"alerting","query":"q","health":"ok","lastEvaluation":"2020-01-01T00:00:00Z"'
    body = success(f'{{"groups":[{{"name":"g","file":"f","interval":1,"rules":[{{{rule},"alerts":[{held}]}}]}}]}}')

    if value in {'"NaN"', '"1e999"'} or value.startswith('"9'):
        assert ask("prometheus.rules", raw_server(answers(body)).url)
    else:
        assert isinstance(refused("prometheus.rules", raw_server(answers(body)).url), AnswerError)


# Broken variants: what these servers do to a client without the two limits.

PIECES = 60


@pytest.fixture
def dripping(raw_server: MakeServer) -> RawServer:
    """A server whose head takes ten times the deadline, each byte of it in time; then it answers."""

    def behave(connection: Any, ended: threading.Event) -> None:  # noqa: ANN401 - a socket
        connection.sendall(STATUS + JSON + b"X-Drip: ")
        for _ in range(PIECES):
            ended.wait(10 * TIMEOUT_S / PIECES)
            connection.sendall(b"x")
        connection.sendall(b"\r\nContent-Length: 2\r\n\r\n{}")

    return raw_server(behave)


def test_a_deadline_for_each_read_alone_would_wait_for_the_whole_head(
    dripping: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As once: every read was in time, so the answer was taken."""
    http = HttpClient("The part", dripping.url, timeout_s=TIMEOUT_S, fix="start it")
    with pytest.raises(UnreachableError, match="did not answer within"):
        http.get("/x")

    for module in (timed_sockets, http_session):
        monkeypatch.setattr(module, "left_s", lambda: TIMEOUT_S)

    assert http.get("/x").status == 200


def test_memory_stays_near_the_limit_where_the_body_is_decompressed(
    raw_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """250 MB arrive as some kilobytes. Broken variant: a limit that counts what travels lets them in."""
    url = raw_server(GARBLED["sends a bomb in a bomb"]).url
    tracemalloc.start()
    try:
        refused("prometheus.rules", url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000

    monkeypatch.setattr("runbook.systems.http._MOST_BYTES", 10**10)
    http = HttpClient("The part", url, timeout_s=60, max_bytes=100_000_000, fix="start it")
    with pytest.raises(AnswerError, match=r"10\d,\d{3},\d{3} were read"):
        http.get("/x")
