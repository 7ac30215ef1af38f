"""Who we are at each system, under which path, and what of it proxies and redirects get to see."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runbook.errors import AnswerError, ProtocolError, RunbookError, UsageError
from runbook.settings import Target, load_target
from runbook.systems.addresses import is_this_host
from runbook.systems.grafana.client import Grafana
from runbook.systems.http import HttpClient
from runbook.systems.http_session import environment_proxies
from runbook.systems.prometheus.client import Prometheus
from tests.systems.every_client import ANY_ANSWER, CLIENTS, QUESTIONS
from tests.systems.loopback_servers import MakeServer, Reply, ScriptedServer

PASSWORD, TOKEN = "s3cret-password", "glsa_s3cret-token"
BASIC = "Basic " + b64encode(f"ops:{PASSWORD}".encode()).decode()
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
LOGINS = {
    "keycloak.realm": "proxy_",
    "sink.page": "metrics_",
    "sink.health": "http_",
    "prometheus.ready": "",
    "alertmanager.ready": "",
    "grafana.health": "",
}
"""What begins the settings of a login, by the question that is asked with it."""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask(name: str, url: str, **settings: object) -> None:
    """Ask whatever comes of it: what was sent counts."""
    client = CLIENTS[name.partition(".")[0]](url, 5, **settings)
    with suppress(AnswerError):
        (QUESTIONS | ANY_ANSWER)[name](client)
    client.close()


@pytest.mark.parametrize(("name", "part"), LOGINS.items())
def test_user_and_password_are_sent_as_basic_authentication(server: ScriptedServer, name: str, part: str) -> None:
    ask(name, server.url, **{f"{part}username": "ops", f"{part}password": PASSWORD})

    assert server.seen[0].headers["Authorization"] == BASIC


@pytest.mark.parametrize(("name", "part"), LOGINS.items())
def test_token_goes_before_the_password_which_is_not_sent(server: ScriptedServer, name: str, part: str) -> None:
    """So no admin password is needed where there is a token of a service account."""
    ask(name, server.url, **{f"{part}username": "ops", f"{part}password": PASSWORD, f"{part}token": TOKEN})

    assert server.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_token_before_keycloak_leaves_the_grant_as_it_is(server: ScriptedServer) -> None:
    ask("keycloak.token", server.url, proxy_token=TOKEN, username="demo", password=PASSWORD)

    assert server.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert f"password={PASSWORD}" in server.seen[0].body.decode()


def test_token_of_grafana_comes_from_a_file(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNBOOK_GRAFANA_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("RUNBOOK_GRAFANA_URL", server.url)

    with pytest.raises(AnswerError):
        Grafana(load_target().grafana).health()

    assert server.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(load_target())


@pytest.mark.parametrize("status", [401, 403])
def test_token_that_grafana_refuses_is_named_by_its_variable(server: ScriptedServer, status: int) -> None:
    server.routes["GET /api/datasources"] = Reply(status, {"message": "Invalid API key"})

    with pytest.raises(AnswerError, match=r"the service account of the token: 40[13]") as caught:
        CLIENTS["grafana"](server.url, 5, token=TOKEN).datasources()

    assert "RUNBOOK_GRAFANA_TOKEN" in caught.value.fix
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "a\nb", "gänse", "tab\t"])
def test_token_that_no_header_can_carry_is_an_error_of_the_setting(token: str) -> None:
    with pytest.raises(UsageError, match="token holds what no token holds") as caught:
        Target.from_tables("live", {"grafana": {"token": token}}, source="runbook.toml")

    assert token not in str(caught.value)


@pytest.mark.parametrize("prefix", ["/prometheus", "/a/b/", "/"])
def test_path_prefix_goes_before_every_path(server: ScriptedServer, prefix: str) -> None:
    target = Target.from_tables("live", {"prometheus": {"url": server.url + prefix}}, source="test")
    server.routes[f"GET {prefix.rstrip('/')}/-/ready"] = Reply(200, b"Prometheus Server is Ready.")

    Prometheus(target.prometheus).ready()

    assert server.seen[0].path == f"{prefix.rstrip('/')}/-/ready"


def test_path_prefix_of_an_old_keycloak(server: ScriptedServer) -> None:
    for url in (f"{server.url}/auth", f"{server.url}/auth/"):
        ask("keycloak.token", url)
        ask("keycloak.realm", url)

    assert {seen.path.partition("/protocol")[0] for seen in server.seen} == {"/auth/realms/aetherlink"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", QUESTIONS)
def test_redirect_takes_nothing_along(server: ScriptedServer, name: str, status: int) -> None:
    """A canary listens where every answer points to; credentials, forms and JSON stay where they were sent."""
    canary = ScriptedServer()
    try:
        moved = Reply(status, headers={"Location": f"{canary.url}/elsewhere"})
        server.answer = lambda seen: server.seen.append(seen) or moved  # type: ignore[method-assign,func-returns-value]
        with pytest.raises(RunbookError) as caught:
            (QUESTIONS | ANY_ANSWER)[name](CLIENTS[name.partition(".")[0]](server.url, 5))
    finally:
        canary.stop()

    assert canary.seen == []
    assert len(server.seen) == 1
    assert f"{status} (to {canary.url}/elsewhere" in str(caught.value)


# Proxies


@pytest.fixture
def recording_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A proxy that the environment names for everything; it sees each request with its whole address."""
    proxy = ScriptedServer()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("name", QUESTIONS | ANY_ANSWER)
def test_proxy_gets_nothing_of_what_stays_on_this_host(
    server: ScriptedServer, recording_proxy: ScriptedServer, name: str, host: str
) -> None:
    ask(name, server.url.replace("127.0.0.1", host))

    assert len(server.seen) == 1
    assert recording_proxy.seen == []


def test_proxy_is_used_for_other_hosts(recording_proxy: ScriptedServer) -> None:
    recording_proxy.routes["GET /-/ready"] = Reply(200, b"Prometheus Server is Ready.\n")

    ask("prometheus.ready", "http://prometheus.example:9090")

    assert [seen.headers["Host"] for seen in recording_proxy.seen] == ["prometheus.example:9090"]


def test_proxy_is_not_used_where_no_proxy_names_the_host(
    recording_proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "invalid,10.0.0.0/8")

    with pytest.raises(RunbookError, match=r"prometheus\.invalid does not resolve"):
        ask("prometheus.ready", "http://prometheus.invalid:9090")

    assert recording_proxy.seen == []
    assert environment_proxies("http://10.1.2.3") == {}
    assert "http" in environment_proxies("http://11.1.2.3")


def test_netrc_is_not_read(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    ask("prometheus.ready", server.url)
    ask("keycloak.token", server.url)

    assert ["Authorization" in seen.headers for seen in server.seen] == [False, False]


@pytest.mark.parametrize(
    "proxy",
    [
        "http://127.0.0.1:1",
        "http://user:s3cret-password@127.0.0.1:1",
        "socks5://127.0.0.1:1",
        "http://",
        "refusing",
    ],
)
@pytest.mark.parametrize("name", ["prometheus.ready", "keycloak.token"])
def test_proxy_that_fails_is_named_as_that(
    raw_server: MakeServer, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    """Nobody of this host is down then."""

    def refuse(connection: socket.socket, _: object) -> None:
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("https_proxy", raw_server(refuse).url if proxy == "refusing" else proxy)

    with pytest.raises(ProtocolError, match="through the proxy of the environment") as caught:
        ask(name, "https://monitoring.example/prefix")

    assert caught.value.reason == "proxy"
    assert "add monitoring.example to no_proxy" in caught.value.fix
    assert PASSWORD not in str(caught.value)
    if proxy == "refusing":
        assert "407 Proxy Authentication Required" in caught.value.seen


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("grafana.localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", True),  # noqa: S104 - compared with, never bound
        ("notlocalhost", False),
        ("localhost.example", False),
        ("172.17.0.2", False),
        ("", False),
    ],
)
def test_what_counts_as_this_host(host: str, *, is_ours: bool) -> None:
    assert is_this_host(host) is is_ours


def test_name_that_is_no_name_does_not_resolve() -> None:
    for host in ("a" * 300, "a..b", "xn--" + "é" * 3):
        with pytest.raises((RunbookError, UsageError)) as caught:
            HttpClient("The part", f"http://{host}/", timeout_s=5, fix="start it").get("/x")
        assert "Traceback" not in str(caught.value)
