"""TLS to an engine that a context names, with the files that stand beside it; what the environment must not change."""

import contextlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from docker import APIClient
from docker.context import ContextAPI
from docker.errors import DockerException
from docker.tls import TLSConfig

from runbook.errors import UnreachableError
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.runtime import Service
from runbook.systems.runtime_settings import RuntimeSettings
from tests.systems.loopback_servers import free_port
from tests.systems.test_engine_location import config, context

SINK = Service(name="crm-events-sink", container="aether-crm-events-sink")
Serve = Callable[..., str]


def authority(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 that is its own authority, under Docker's three names."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    (folder / "ca.pem").write_bytes(certificate)
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder


class Answers(BaseHTTPRequestHandler):
    """An engine without containers."""

    def do_GET(self) -> None:
        payload = json.dumps({"ApiVersion": "1.45"} if self.path.endswith("/version") else []).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve such an engine on loopback, with TLS by the files of `ours`; return its address."""
    with contextlib.ExitStack() as ended:

        def start(*, tls: bool = True, asks_for_certificate: bool = False) -> str:
            server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
            if tls:
                files = tmp_path / "ours"
                secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                secure.load_cert_chain(files / "cert.pem", files / "key.pem")
                secure.load_verify_locations(files / "ca.pem")
                secure.verify_mode = ssl.CERT_REQUIRED if asks_for_certificate else ssl.CERT_NONE
                server.socket = secure.wrap_socket(server.socket, server_side=True)
            server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that trusts nobody hangs up
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            ended.callback(thread.join)
            ended.callback(server.server_close)
            ended.callback(server.shutdown)
            return f"tcp://127.0.0.1:{server.server_address[1]}"

        yield start


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The docker program's folder, with the context `far` as the current one; two authorities, `ours` and `another`."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    config(tmp_path / "docker", {"currentContext": "far"})
    authority(tmp_path / "ours")
    authority(tmp_path / "another")
    return tmp_path


def give(folder: Path, address: str, *files: str, of: str = "ours", skip: bool = False) -> None:
    """Let the context lead there, with these files beside it."""
    beside = context(folder / "docker", "far", {"Host": address, "SkipTLSVerify": skip})
    beside.mkdir(parents=True, exist_ok=True)
    for name in files:
        (beside / name).write_bytes((folder / of / name).read_bytes())


def is_reached() -> bool:
    with contextlib.closing(DockerRuntime(RuntimeSettings(), timeout_s=5)) as docker:
        return docker.state(SINK).found is False


def test_an_authority_alone_is_enough(folder: Path, serve: Serve) -> None:
    """The SDK's own reading of the context drops it, and speaks in the clear."""
    give(folder, serve(), "ca.pem")

    assert is_reached()
    assert "tls" not in ContextAPI.kwargs_from_context()


def test_the_engine_is_shown_our_certificate(folder: Path, serve: Serve) -> None:
    address = serve(asks_for_certificate=True)

    give(folder, address, "ca.pem", "cert.pem", "key.pem")
    assert is_reached()

    (folder / "docker/contexts/tls").rename(folder / "away")
    give(folder, address, "ca.pem")
    with pytest.raises(UnreachableError):
        is_reached()


@pytest.mark.filterwarnings("error")
def test_an_engine_that_need_not_be_trusted_is_not_verified(folder: Path, serve: Serve) -> None:
    """And urllib3 does not warn of it at every request."""
    give(folder, serve(), skip=True)

    assert is_reached()


@pytest.mark.parametrize("files", [(), ("ca.pem",)])
def test_what_does_not_fit_is_corrected_in_the_context(folder: Path, serve: Serve, files: tuple[str, ...]) -> None:
    """In the clear to an engine with TLS, or with somebody else's authority: never without verification."""
    address = serve()
    give(folder, address, *files, of="another")

    with pytest.raises(UnreachableError) as caught:
        is_reached()

    if files:
        assert re.search(r"its certificate is not trusted: self.signed certificate$", caught.value.seen)
        assert f"docker context update far --docker host={address},ca=PATH" in caught.value.fix
    assert "context far" in caught.value.where


def test_half_a_certificate_is_named(folder: Path, serve: Serve) -> None:
    give(folder, serve(), "ca.pem", "cert.pem")

    with pytest.raises(UnreachableError, match=r"TLS without certificates: .* far") as caught:
        is_reached()

    assert "docker context update far" in caught.value.fix


def test_an_authority_of_the_environment_does_not_overrule_the_engines(
    folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As requests lets it: a control shows that the SDK alone then trusts the wrong one."""
    address = serve()
    give(folder, address, "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "another/ca.pem"))

    assert is_reached()
    with pytest.raises(DockerException, match="CERTIFICATE_VERIFY_FAILED"):
        APIClient(address, tls=TLSConfig(ca_cert=str(folder / "ours/ca.pem"), verify=True))


def test_no_proxy_stands_before_this_host(folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control shows that the SDK alone asks the proxy."""
    address = serve(tls=False)
    give(folder, address)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    assert is_reached()
    with pytest.raises(DockerException, match="proxy"):
        APIClient(address)


def test_variables_of_tls_are_for_an_engine_without_a_context(
    folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the docker program has it: a context has its own files, or none."""
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(folder / "ours"))
    give(folder, serve(tls=False))
    assert is_reached()

    monkeypatch.setenv("DOCKER_HOST", serve(asks_for_certificate=True))
    assert is_reached()


def test_certificates_that_are_not_there_are_named_with_their_folder(
    folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "ours/key.pem").unlink()
    (folder / "ours/ca.pem").rename(folder / "ours/authority.pem")
    monkeypatch.setenv("DOCKER_HOST", serve(tls=False))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(folder / "ours"))

    with pytest.raises(UnreachableError) as caught:
        is_reached()

    assert caught.value.seen.endswith(f"TLS without certificates: ca.pem, key.pem not in {folder / 'ours'}")
