"""TLS to every system: healthy with the right settings, and each failure named as what it is."""

import re
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbook.errors import ProtocolError, UnreachableError, UsageError
from runbook.settings import Target
from runbook.systems.http import HttpClient
from runbook.systems.tls import CA_VARIABLES
from tests.systems.every_client import ANY_ANSWER, CLIENTS, QUESTIONS
from tests.systems.loopback_servers import MakeServer, Reply, ScriptedServer
from tests.systems.tls_servers import Authority, Files, TlsServer, server_context

DAY = timedelta(days=1)
MakeTls = Callable[..., TlsServer]
ONE_EACH = {
    "keycloak": "keycloak.realm",
    "gateway": "gateway.probe",
    "sink": "sink.health",
    "prometheus": "prometheus.ready",
    "alertmanager": "alertmanager.ready",
    "grafana": "grafana.health",
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_server() -> Iterator[MakeTls]:
    """Make a server that speaks TLS with a certificate."""
    made: list[TlsServer] = []

    def make(files: Files, change: Callable[[ssl.SSLContext], object] = lambda _: None) -> TlsServer:
        context = server_context(files)
        change(context)
        made.append(TlsServer(context))
        made[-1].routes |= {
            "GET /health": Reply(200, {"status": "healthy"}),
            "GET /api/health": Reply(200, {"database": "ok", "version": "11.2.0"}),
            "GET /-/ready": Reply(200, b"OK"),
            "GET /realms/aetherlink": Reply(200, {"realm": "aetherlink"}),
        }
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(autouse=True)
def no_cas_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def ask(system: str, url: str, **settings: object) -> object:
    client = CLIENTS[system](url, 5, **settings)
    try:
        return (QUESTIONS | ANY_ANSWER)[ONE_EACH[system]](client)
    finally:
        client.close()


def refused(system: str, url: str, **settings: object) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        ask(system, url, **settings)
    assert url in caught.value.where
    return caught.value


@pytest.mark.parametrize("system", ONE_EACH)
def test_every_system_is_spoken_to_with_the_ca_of_its_settings(
    tls_server: MakeTls, authority: Authority, system: str
) -> None:
    server = tls_server(authority.signed("right"))

    assert ask(system, server.url, ca_file=authority.file)
    assert len(server.seen) == 1


def test_token_is_asked_for_by_the_same_tls(tls_server: MakeTls, authority: Authority) -> None:
    """python-keycloak is given our session, and so our CA."""
    server = tls_server(authority.signed("right"))
    server.routes["POST /realms/aetherlink/protocol/openid-connect/token"] = Reply(
        200, {"access_token": "e30.eyJ0ZW5hbnRfaWQiOiJhY21lIn0.x"}
    )

    assert CLIENTS["keycloak"](server.url, 5, ca_file=authority.file).token().tenant_id == "acme"
    with pytest.raises(ProtocolError, match="RUNBOOK_KEYCLOAK_CA_FILE"):
        CLIENTS["keycloak"](server.url, 5).token()


@pytest.mark.parametrize("system", ONE_EACH)
def test_unknown_ca_is_named_with_the_setting_that_trusts_it(
    tls_server: MakeTls, authority: Authority, system: str
) -> None:
    server = tls_server(authority.signed("right"))

    error = refused(system, server.url)

    assert error.reason == "tls_unknown_ca"
    assert "a CA that is not trusted here: unable to get local issuer certificate" in error.seen
    assert error.fix == f"set RUNBOOK_{system.upper()}_CA_FILE to the PEM file of that CA"
    assert server.seen == []


def test_another_ca_is_not_enough(tls_server: MakeTls, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "Another CA")

    assert refused("grafana", tls_server(authority.signed("right")).url, ca_file=other.file).reason == "tls_unknown_ca"


@pytest.mark.parametrize(
    ("wrong", "reason", "said", "fix"),
    [
        ({"before": -DAY / 2}, "tls_expired", "a certificate that has expired, by this host's clock", "renew"),
        ({"after": DAY / 2}, "tls_not_yet_valid", "a certificate that is not valid yet", "set the clock of this host"),
        ({"host": "grafana.example"}, "tls_other_name", "for another name: IP address mismatch", "RUNBOOK_GRAFANA_URL"),
    ],
)
def test_each_fault_of_a_certificate_has_its_own_words(
    tls_server: MakeTls, authority: Authority, *, wrong: dict[str, Any], reason: str, said: str, fix: str
) -> None:
    error = refused("grafana", tls_server(authority.signed("wrong", **wrong)).url, ca_file=authority.file)

    assert error.reason == reason
    assert said in error.seen
    assert fix in error.fix


def test_name_of_a_host_that_is_not_in_the_certificate(tls_server: MakeTls, authority: Authority) -> None:
    url = tls_server(authority.signed("right")).url.replace("127.0.0.1", "localhost")

    error = refused("prometheus", url, ca_file=authority.file)

    assert error.reason == "tls_other_name"
    assert "'localhost'" in error.seen


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate_that_is_wanted_is_said_and_then_shown(
    tls_server: MakeTls, authority: Authority, version: ssl.TLSVersion
) -> None:
    def demand(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.file)
        context.maximum_version = version

    server = tls_server(authority.signed("right"), demand)
    mine = authority.signed("ops")

    error = refused("grafana", server.url, ca_file=authority.file)
    assert "RUNBOOK_GRAFANA_CLIENT_CERT" in error.fix
    if version is ssl.TLSVersion.TLSv1_3:  # before, the alert is one of a failed handshake, whatever failed
        assert error.reason == "tls_client_certificate"
        assert "does not let us in without a client certificate" in error.seen
    settings = {"ca_file": authority.file, "client_cert": mine.certificate, "client_key": mine.key}
    assert ask("grafana", server.url, **settings)


def test_client_certificate_of_a_stranger_is_refused_as_that(
    tls_server: MakeTls, authority: Authority, tmp_path: Path
) -> None:
    def demand(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.file)

    server = tls_server(authority.signed("right"), demand)
    strange = Authority(tmp_path, "Another CA").signed("stranger")
    settings = {"ca_file": authority.file, "client_cert": strange.certificate, "client_key": strange.key}

    error = refused("alertmanager", server.url, **settings)

    assert error.reason == "tls_client_certificate"
    assert "unknown ca" in error.seen


def test_old_tls_is_not_spoken(tls_server: MakeTls, authority: Authority) -> None:
    def be_old(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")

    error = refused("grafana", tls_server(authority.signed("right"), be_old).url, ca_file=authority.file)

    assert error.reason == "tls_version"
    assert "no version of TLS that is safe" in error.seen


def test_https_to_a_port_of_http(server: ScriptedServer) -> None:
    error = refused("grafana", server.url.replace("http:", "https:"))

    assert error.reason == "tls_on_plain_port"
    assert error.fix.startswith("set RUNBOOK_GRAFANA_URL to the address with http://")


def test_http_to_a_port_of_tls(tls_server: MakeTls, authority: Authority) -> None:
    """OpenSSL closes such a connection without a word; others send an alert of TLS (see the hostile servers)."""
    url = tls_server(authority.signed("right")).url.replace("https:", "http:")

    with pytest.raises(UnreachableError, match="if it speaks TLS there, RUNBOOK_GRAFANA_URL begins with https://"):
        ask("grafana", url)


@pytest.mark.parametrize(
    "page",
    [
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
    ],
)
def test_http_to_a_port_of_tls_that_says_so(server: ScriptedServer, page: bytes) -> None:
    """Go and nginx answer in the clear."""
    server.routes["GET /api/health"] = Reply(400, page, "text/html")

    assert refused("grafana", server.url).reason == "plain_on_tls_port"


def test_server_that_closes_in_the_handshake_is_broken(raw_server: MakeServer) -> None:
    """Nothing that is said of TLS would be known."""
    with pytest.raises(UnreachableError, match="closed the connection"):
        ask("grafana", raw_server(lambda *_: None).url.replace("http:", "https:"))


def test_server_that_is_silent_in_the_handshake_ends_at_the_deadline(raw_server: MakeServer) -> None:
    url = raw_server(lambda _, ended: ended.wait()).url.replace("http:", "https:")

    with pytest.raises(UnreachableError, match=r"did not answer within 0\.3 s"):
        HttpClient("The part", url, timeout_s=0.3, fix="start it").get("/x")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_cas_of_the_environment_are_trusted(
    tls_server: MakeTls, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(authority.file))

    assert ask("keycloak", tls_server(authority.signed("right")).url)


def test_ca_file_goes_before_those_of_the_environment(
    tls_server: MakeTls, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path, "Another CA").file))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    url = tls_server(authority.signed("right")).url

    assert ask("keycloak", url, ca_file=authority.file)
    assert refused("keycloak", url).reason == "tls_unknown_ca"  # the first of the two variables counts


@pytest.mark.outside
def test_wrong_variable_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where TLS is spoken; without it nobody reads that file."""
    missing = Path("/nonexistent/ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(missing))

    with pytest.raises(UsageError, match=re.escape(f"SSL_CERT_FILE names {missing}, which cannot be read")):
        CLIENTS["keycloak"]("https://127.0.0.1:1", 5)
    with pytest.raises(UnreachableError):
        CLIENTS["keycloak"]("http://127.0.0.1:1", 5).token()


def test_insecure_believes_any_certificate_and_is_warned_about(
    tls_server: MakeTls, authority: Authority, recwarn: pytest.WarningsRecorder
) -> None:
    server = tls_server(authority.signed("wrong", before=-DAY / 2, host="grafana.example"))

    assert ask("grafana", server.url, insecure=True)

    target = Target.from_tables("live", {"grafana": {"insecure": True}}, source="test")
    assert target.warnings == (
        "RUNBOOK_GRAFANA_INSECURE is true: whoever answers there is believed, and may read what is sent",
    )
    assert Target.from_tables("live", {}, source="test").warnings == ()
    assert [str(one.message) for one in recwarn] == []


def no_file(_: Authority, folder: Path) -> dict[str, object]:
    return {"ca_file": str(folder / "none.pem")}


def no_pem(_: Authority, folder: Path) -> dict[str, object]:
    (folder / "text.pem").write_text("a text")
    return {"ca_file": str(folder / "text.pem")}


def no_certificate(authority: Authority, _: Path) -> dict[str, object]:
    return {"client_cert": str(authority.signed("ops").key)}


def another_key(authority: Authority, _: Path) -> dict[str, object]:
    return {
        "client_cert": str(authority.signed("ops").certificate),
        "client_key": str(authority.signed("other").key),
    }


def no_key(authority: Authority, _: Path) -> dict[str, object]:
    return {"client_cert": str(authority.signed("ops").certificate)}


def key_alone(authority: Authority, _: Path) -> dict[str, object]:
    return {"client_key": str(authority.signed("ops").key)}


def locked_key(authority: Authority, _: Path) -> dict[str, object]:
    files = authority.signed("ops", passphrase=b"secret")
    return {"client_cert": str(files.certificate), "client_key": str(files.key)}


@pytest.mark.parametrize(
    ("given", "setting", "said"),
    [
        (no_file, "ca_file", r"names .*none\.pem, which cannot be read: No such file"),
        (no_pem, "ca_file", r"names .*text\.pem, which holds no certificate in PEM"),
        (no_certificate, "client_key", r"names .*ops\.key, which holds no certificate and key in PEM"),
        (no_key, "client_key", r"names .*ops\.pem, which holds no certificate and key in PEM"),
        (another_key, "client_key", r"names .*other\.key, which is not the key of the certificate .*ops\.pem"),
        (key_alone, "client_key", "is set without client_cert"),
        (locked_key, "client_key", "has a passphrase"),
    ],
)
def test_file_that_cannot_be_used_is_an_error_of_the_setting(
    authority: Authority,
    tmp_path: Path,
    given: Callable[[Authority, Path], dict[str, object]],
    setting: str,
    said: str,
) -> None:
    """Before anything is asked, and before the terminal is asked for a passphrase."""
    with pytest.raises(UsageError, match=said) as caught:
        Target.from_tables("live", {"grafana": given(authority, tmp_path)}, source="runbook.toml")

    assert caught.value.where == f"[grafana] {setting} in runbook.toml"


def test_one_file_may_hold_certificate_and_key(authority: Authority, tmp_path: Path) -> None:
    files = authority.signed("ops")
    both = tmp_path / "both.pem"
    both.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())

    target = Target.from_tables("live", {"grafana": {"client_cert": str(both)}}, source="test")

    assert target.grafana.client_cert == both
