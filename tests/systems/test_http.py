"""HttpClient against real servers, well-behaved and not."""

import gzip
import re
import socket
import threading
import traceback
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from runbook.errors import AnswerError, ProtocolError, UnreachableError, UsageError
from runbook.systems.http import HttpClient
from runbook.systems.redaction import redacted
from tests.systems.loopback_servers import MakeServer, Reply, ScriptedServer

FIX = "start it"
PASSWORD = "s3cret-p/ss"  # noqa: S105 - a test's own


def client(
    url: str,
    *,
    auth: tuple[str, str] | None = None,
    headers: dict[str, str] | None = None,
    max_bytes: int = 20_000_000,
) -> HttpClient:
    return HttpClient("The part", url, auth=auth, headers=headers, timeout_s=5, max_bytes=max_bytes, fix=FIX)


def test_answer_carries_status_body_and_times(server: ScriptedServer) -> None:
    server.routes["GET /x"] = Reply(418, {"a": [1]})

    answer = client(server.url + "/").get("/x", {"q": "ä b"})

    assert (answer.status, answer.json(), answer.is_json) == (418, {"a": [1]}, True)
    assert answer.sent_at <= answer.answered_at
    assert answer.sent_at.utcoffset() == timedelta()
    assert server.seen[0].query == {"q": "ä b"}


def test_post_sends_json_once_and_delete_deletes(server: ScriptedServer) -> None:
    server.routes |= {"POST /x": Reply(201, {}), "DELETE /x": Reply(204)}
    http = client(server.url)

    assert http.post("/x", json={"a": "ä"}).status == 201
    assert http.delete("/x").status == 204
    assert server.seen[0].json == {"a": "ä"}
    assert [seen.method for seen in server.seen] == ["POST", "DELETE"]


def test_refused_connection_names_address_reason_and_fix(refused_url: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        client(refused_url).get("/x")

    assert caught.value.reason == "refused"
    assert caught.value.where == f"GET {refused_url}/x"
    assert str(caught.value) == f"The part cannot be reached: connection refused\nGET {refused_url}/x\nFix: {FIX}"


def test_silent_server_is_a_timeout(silent_url: str) -> None:
    with pytest.raises(UnreachableError, match=r"did not answer within 0\.1 s") as caught:
        client(silent_url).get("/x", timeout_s=0.1)

    assert caught.value.reason == "timeout"


def test_unknown_name_is_dns() -> None:
    with pytest.raises(UnreachableError, match=r"no-such-host\.invalid does not resolve") as caught:
        client("http://no-such-host.invalid").get("/x")

    assert caught.value.reason == "dns"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_connection_closed_in_the_middle_is_broken(raw_server: MakeServer, sent: bytes) -> None:
    def half(connection: socket.socket, _: object) -> None:
        connection.sendall(sent)

    with pytest.raises(UnreachableError, match="in the middle of an answer") as caught:
        client(raw_server(half).url).get("/x")

    assert caught.value.reason == "broken"


def test_answer_that_drips_in_forever_ends_at_the_deadline(raw_server: MakeServer) -> None:
    """Each byte arrives in time, so a time-out per read would never come."""

    def drip(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not ended.wait(0.02):
            connection.sendall(b".")

    with pytest.raises(UnreachableError) as caught:
        client(raw_server(drip).url).get("/x", timeout_s=0.3)

    assert caught.value.reason == "timeout"


def test_huge_page_is_dropped_at_the_cap(raw_server: MakeServer) -> None:
    """A page of 100 MB is not held: reading ends within one chunk of the cap, and the error says so."""
    sent: list[int] = []

    def flood(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while not ended.is_set() and sum(sent) < 100_000_000:
            sent.append(connection.send(b"x" * 100_000))

    with pytest.raises(AnswerError, match="more than 1,000,000 bytes") as caught:
        client(raw_server(flood).url, max_bytes=1_000_000).get("/x")

    (read,) = (int(found.replace(",", "")) for found in re.findall(r"([\d,]+) were read", caught.value.seen))
    assert 1_000_000 < read < 1_100_000
    assert caught.value.code == "too_large"
    assert sum(sent) < 50_000_000


def test_compressed_bomb_meets_the_same_cap(server: ScriptedServer) -> None:
    """The cap counts what comes out of gzip, not what travels."""
    server.routes["GET /x"] = Reply(200, gzip.compress(b"x" * 5_000_000), headers={"Content-Encoding": "gzip"})

    with pytest.raises(AnswerError, match="more than 1,000,000 bytes"):
        client(server.url, max_bytes=1_000_000).get("/x")


def test_compressed_answer_is_read(server: ScriptedServer) -> None:
    server.routes["GET /x"] = Reply(200, gzip.compress(b"plain"), headers={"Content-Encoding": "gzip"})

    assert client(server.url).get("/x").text == "plain"


def test_endless_header_block_is_no_http(raw_server: MakeServer) -> None:
    def headers(connection: socket.socket, _: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500)

    with pytest.raises(ProtocolError, match="more than 100 headers") as caught:
        client(raw_server(headers).url).get("/x")

    assert caught.value.reason == "not_http"


def test_html_where_json_was_asked_is_quoted_by_its_title(server: ScriptedServer) -> None:
    page = b"<html><head><TITLE>Sign in &amp;\n go</TITLE></head>" + b"x" * 1000
    server.routes["GET /x"] = Reply(200, page, "text/html")

    with pytest.raises(AnswerError, match="not with JSON: HTML page: Sign in & go") as caught:
        client(server.url).get("/x").json()

    assert caught.value.status == 200
    assert len(caught.value.body) == 500


def test_empty_body_is_said_to_be_empty(server: ScriptedServer) -> None:
    server.routes["GET /x"] = Reply(200, b"")

    with pytest.raises(AnswerError, match="not with JSON: an empty body"):
        client(server.url).get("/x").json()


def test_json_of_another_shape_says_where_it_differs(server: ScriptedServer) -> None:
    server.routes["GET /x"] = Reply(200, {"a": 1})

    with pytest.raises(AnswerError, match=r"unknown shape: Expected `str`, got `int` - at `\$\[\.\.\.\]`"):
        client(server.url).get("/x").read(dict[str, str])


def test_unexpected_status_is_quoted(server: ScriptedServer) -> None:
    server.routes["GET /x"] = Reply(503, b"upstream down")

    with pytest.raises(AnswerError, match="The part answered 503: upstream down") as caught:
        client(server.url).get("/x").expected(200, 201)

    assert (caught.value.status, caught.value.where) == (503, f"GET {server.url}/x")


def test_redirect_is_not_followed_and_its_target_is_named(server: ScriptedServer) -> None:
    """Credentials never travel to an address that the operator did not name."""
    server.routes["GET /x"] = Reply(302, headers={"Location": f"http://u:{PASSWORD}@elsewhere/y"})

    with pytest.raises(AnswerError, match=r"answered 302 \(to http://elsewhere/y\)") as caught:
        client(server.url, auth=("u", PASSWORD)).get("/x").expected(200)

    assert len(server.seen) == 1
    assert PASSWORD not in str(caught.value)


def test_broken_get_is_asked_again_only_when_safe(raw_server: MakeServer) -> None:
    """Two more attempts with retry_safe, none without, and a third answer counts."""

    def third_time_lucky(connection: socket.socket, _: object) -> None:
        if broken.connections == 3:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nat last")

    broken = raw_server(third_time_lucky)
    assert client(broken.url).get("/x", retry_safe=True).text == "at last"

    always = raw_server(lambda *_: None)
    with pytest.raises(UnreachableError):
        client(always.url).get("/x")
    assert always.connections == 1
    with pytest.raises(UnreachableError):
        client(always.url).get("/x", retry_safe=True)
    assert always.connections == 4


def test_refused_get_is_not_asked_again(refused_url: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        client(refused_url).get("/x", retry_safe=True)

    assert caught.value.reason == "refused"


def test_broken_post_is_never_sent_again(raw_server: MakeServer) -> None:
    """A lead must not be created twice because an answer was lost."""
    always = raw_server(lambda *_: None)

    with pytest.raises(UnreachableError):
        client(always.url).post("/x", json={})

    assert always.connections == 1


@pytest.mark.parametrize(
    "address", ["localhost:9090", "ftp://localhost", "http://", "http://[::1", f"http://me:{PASSWORD}@localhost"]
)
def test_address_that_is_no_url_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError, match="is not an http URL") as caught:
        client(address).get("/x")

    assert PASSWORD not in str(caught.value)


def test_proxies_and_netrc_of_the_environment_are_not_used(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused_url: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("http_proxy", refused_url)
    monkeypatch.setenv("NETRC", str(netrc))
    server.routes["GET /x"] = Reply(200, {})

    assert client(server.url).get("/x").status == 200
    assert "Authorization" not in server.seen[0].headers


def test_cookies_are_not_kept(server: ScriptedServer) -> None:
    """No state hides between requests: each one logs in by itself."""
    server.routes["GET /x"] = Reply(200, {}, headers={"Set-Cookie": "session=1; Path=/"})
    http = client(server.url)

    http.get("/x")
    http.get("/x")

    assert "Cookie" not in server.seen[1].headers


def test_secrets_are_in_no_text_even_when_the_server_echoes_them(server: ScriptedServer) -> None:
    """A debug page that quotes the whole request shows *** where password, token and Basic credentials were."""
    server.routes["GET /x"] = lambda seen: Reply(500, f"{seen.headers} {PASSWORD}".encode())
    token = "eyJ.token.value"  # noqa: S105 - a test's own
    url = server.url.replace("http://", f"http://me:{quote(PASSWORD, safe='')}@")

    clients = (client(url, auth=("u", PASSWORD)), client(url, headers={"Authorization": f"Bearer {token}"}))
    for http in clients:
        with pytest.raises(AnswerError) as caught:
            http.get("/x").expected(200)
        with pytest.raises(AnswerError) as not_json:
            http.get("/x").json()
        for error in (caught.value, not_json.value):
            shown = "".join(traceback.format_exception(error)) + repr(error) + error.body + repr(http.get("/x"))
            assert PASSWORD not in shown
            assert quote(PASSWORD, safe="") not in shown
            assert token not in shown
            assert "***" in error.body


def test_unreachable_error_hides_the_password_in_the_address(refused_url: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        client(refused_url.replace("http://", f"http://me:{quote(PASSWORD, safe='')}@")).get("/x")

    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_secret_in_a_page_title_is_not_unescaped_into_view(server: ScriptedServer) -> None:
    """HTML writes & as &amp;: what is redacted before it is unescaped must know both."""
    server.routes["GET /x"] = Reply(500, b"<title>no such user a&amp;b-&lt;c&gt;</title>", "text/html")

    with pytest.raises(AnswerError, match=r"no such user \*\*\*") as caught:
        client(server.url, auth=("u", "a&b-<c>")).get("/x").expected(200)

    assert "a&b" not in str(caught.value)


def test_secret_at_the_edge_of_an_excerpt_is_not_left_standing(server: ScriptedServer) -> None:
    """Cutting before redacting would keep the first part of a password."""
    secret = "0123456789" * 5
    for filler in range(440, 500):
        server.routes["GET /x"] = Reply(500, b"x" * filler + secret.encode() * 200)
        with pytest.raises(AnswerError) as caught:
            client(server.url, auth=("u", secret)).get("/x").expected(200)
        assert "0123" not in caught.value.body


def test_redacted_leaves_no_part_of_a_longer_secret() -> None:
    assert redacted("abc abcdef", ("abcdef", "abc")) == "*** ***"


def test_close_keeps_the_client_usable(server: ScriptedServer) -> None:
    server.routes["GET /x"] = Reply(200, {})
    http = client(server.url)

    http.close()

    assert http.get("/x").status == 200
