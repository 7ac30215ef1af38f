"""TLS to servers, as settings and environment want it: whose certificates are trusted, and which one is shown.

Trusted are the certificates of `ca_file`, else those of REQUESTS_CA_BUNDLE or SSL_CERT_FILE, else those of the system
together with certifi's.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from runbook.errors import UsageError

CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables of the environment that name certificates to trust; the first one that is set counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How TLS is spoken to one server. `places` names where each of its settings is set, for fixes."""

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    insecure: bool = False
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

    def place_of(self, setting: str) -> str:
        """Return where one of its settings, such as `ca_file`, is set."""
        return self.places.get(setting, setting)

    def context(self) -> ssl.SSLContext:
        """Return the context of these settings. Raises UsageError for certificates that cannot be read."""
        variable = next((name for name in CA_VARIABLES if os.environ.get(name)), "")
        source = self.ca_file or (Path(os.environ[variable]) if variable else None)
        try:
            return _context(self, source)
        except ValueError as error:
            name = self.place_of("ca_file") if self.ca_file else variable or self.place_of("client_cert")
            raise UsageError(f"{name} {error}", where=f"setting {name}", fix=f"correct {name}") from None


def check_certificates(path: Path) -> None:
    """Raise ValueError, which says what is wrong and where, unless a file holds certificates in PEM."""
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)


def check_key(certificate: Path, key: Path | None) -> None:
    """Raise ValueError unless a client certificate and its key can be read and fit; None: one file holds both."""
    _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)


@lru_cache(maxsize=16)
def _context(tls: Tls, source: Path | None) -> ssl.SSLContext:
    from runbook.systems.timed_sockets import timed_context

    context = ssl.create_default_context() if source is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Debian's Python would speak 1.0, too
    if source is None:
        import certifi

        context.load_verify_locations(certifi.where())
    else:
        _trust(context, source)
    if tls.client_cert:
        _show(context, tls.client_cert, tls.client_key)
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return timed_context(context)


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"names {path}, which holds no certificate in PEM (-----BEGIN CERTIFICATE-----)") from None
    except OSError as error:
        raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from None


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    for path in (certificate, *([key] if key else [])):
        try:
            path.read_bytes()
        except OSError as error:
            raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from None
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        raise ValueError(f"{_unusable(error, certificate, key)}") from None


def _no_passphrase() -> str:
    """Answer what OpenSSL would ask the terminal for, in the middle of a command."""
    raise ValueError("has a passphrase, which cannot be asked for here: name a key without one")


def _unusable(error: ssl.SSLError, certificate: Path, key: Path | None) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"names {key or certificate}, which is not the key of the certificate {certificate}"
    held = "certificate and key" if key is None else "key that fits the certificate"
    return f"names {key or certificate}, which holds no {held} in PEM"
