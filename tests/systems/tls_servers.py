"""Servers that speak TLS on loopback, with certificates of a CA of our own: right ones, and wrong ones of each kind."""

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.systems.loopback_servers import ScriptedServer

HOST: Final = "127.0.0.1"
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A CA that signs whatever it is asked to."""

    def __init__(self, folder: Path, name: str = "Our CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._made(self._name, self._key.public_key(), is_ca=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def signed(
        self, name: str, *, host: str = HOST, after: timedelta = -DAY, before: timedelta = DAY, passphrase: bytes = b""
    ) -> Files:
        """Return a certificate for a host, valid between two moments, as seen from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._made(subject, key.public_key(), host=host, after=after, before=before)
        files = Files(certificate=self._folder / f"{name}.pem", key=self._folder / f"{name}.key")
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
        return files

    def _made(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        host: str = "",
        after: timedelta = -DAY,
        before: timedelta = DAY,
        is_ca: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + after)
            .not_valid_after(now + before)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if is_ca:
            usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
            builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        else:
            named = x509.IPAddress(ip_address(host)) if host == HOST else x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([named]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def server_context(files: Files) -> ssl.SSLContext:
    """Return how a server speaks TLS with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


class TlsServer(ScriptedServer):
    """A scripted server behind TLS. Who does not get through the handshake is not seen."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(partial(_Listening, context))

    @property
    def url(self) -> str:
        return super().url.replace("http://", "https://")


class _Listening(ThreadingHTTPServer):
    def __init__(self, context: ssl.SSLContext, *args: Any) -> None:  # noqa: ANN401 - those of the base
        self._context = context
        super().__init__(*args)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base
        """Shake hands in the thread of the request. A refusal is heard out: closing at once would take it back."""
        with self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
            except OSError as error:
                with suppress(OSError):
                    while getattr(error, "reason", "") != "HTTP_REQUEST" and socket.socket.recv(secured, 65_536):
                        pass
            else:
                super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base
        """Say nothing when a client has heard enough."""
