"""Why a connection failed: the reason of UnreachableError or ProtocolError, of what requests or a socket raised."""

import errno
import socket
import ssl
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import Final

_BY_VERIFICATION: Final = {
    9: "tls_not_yet_valid",
    10: "tls_expired",
    18: "tls_unknown_ca",  # self-signed
    19: "tls_unknown_ca",  # self-signed, in its chain
    20: "tls_unknown_ca",
    21: "tls_unknown_ca",
    62: "tls_other_name",
    64: "tls_other_name",  # an address
}
"""OpenSSL's X509_V_ERR_... (x509_vfy.h)."""

_BY_TLS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "tls_client_certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "tls_client_certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "tls_client_certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "tls_client_certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "tls_client_certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "tls_client_certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "tls_client_certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "tls_client_certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls_version",
    "UNSUPPORTED_PROTOCOL": "tls_version",
    "WRONG_SSL_VERSION": "tls_version",
    "HTTP_REQUEST": "tls_on_plain_port",
    "PACKET_LENGTH_TOO_LONG": "tls_on_plain_port",
    "RECORD_LAYER_FAILURE": "tls_on_plain_port",
    "WRONG_VERSION_NUMBER": "tls_on_plain_port",
}
"""OpenSSL's reasons. An alert is what the other side says: one about a certificate means ours."""

_RECORDS_OF_TLS: Final = ("\x15\x03", "\x16\x03")
"""How an alert and a handshake begin; http.client quotes them as the line that should have been a status."""

_UNROUTABLE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH})


def failure_reason(error: BaseException) -> str:
    """Return the reason for what requests, urllib3 or a socket raised; the two errors list them."""
    from requests import Timeout
    from requests.exceptions import InvalidProxyURL
    from urllib3.exceptions import DecodeError, InvalidHeader, NameResolutionError, NewConnectionError, ProxyError
    from urllib3.exceptions import TimeoutError as GaveUp

    found = causes(error)
    if any(isinstance(one, ProxyError | InvalidProxyURL) or _names_a_proxy(one) for one in found):
        return "proxy"
    if of_tls := next((reason for one in found if (reason := _tls_reason(one))), ""):
        return of_tls
    kinds: dict[str, tuple[type[BaseException], ...]] = {
        "dns": (NameResolutionError, socket.gaierror),
        # A NewConnectionError, which urllib3 derives from ConnectTimeoutError: ask for it before time-outs.
        "refused": (NewConnectionError, ConnectionRefusedError),
        "timeout": (Timeout, GaveUp, TimeoutError),
        "broken": (IncompleteRead, RemoteDisconnected),
        "not_http": (HTTPException, InvalidHeader, DecodeError),
    }
    if any(isinstance(one, OSError) and one.errno in _UNROUTABLE for one in found):
        return "refused"
    of_kind = (reason for reason, kind in kinds.items() if any(isinstance(one, kind) for one in found))
    return next(of_kind, "broken")


def _tls_reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_VERIFICATION.get(error.verify_code, "tls")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ""
    if isinstance(error, ssl.SSLError):
        return _BY_TLS.get(error.reason or "", "tls" if error.reason else "")
    if isinstance(error, HTTPException) and str(error).lstrip("'\"").startswith(_RECORDS_OF_TLS):
        return "plain_on_tls_port"
    return ""


def _names_a_proxy(error: BaseException) -> bool:
    return "Tunnel connection failed" in str(error) or "SOCKS" in str(error)


def causes(error: BaseException) -> list[BaseException]:
    """Return the error with everything it wraps; requests and urllib3 nest theirs in arguments and `reason`."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
    return found


def system_text(error: BaseException) -> str:
    """Return the system's own words for a failure, such as `connection refused`."""
    texts = [cause.strerror for cause in causes(error) if isinstance(cause, OSError) and cause.strerror]
    return texts[0].lower() if texts else "the connection was refused"


def tls_text(error: BaseException) -> str:
    """Return OpenSSL's own words: those of the verification of a certificate, or of another failure."""
    found = [one for one in causes(error) if isinstance(one, ssl.SSLError)]
    for one in found:
        if isinstance(one, ssl.SSLCertVerificationError):
            return one.verify_message.rstrip(".")
    return next((one.reason.lower().replace("_", " ") for one in found if one.reason), "no reason was given")


def proxy_text(error: BaseException) -> str:
    """Return what was wrong with a proxy, such as `Tunnel connection failed: 407 Proxy Authentication Required`."""
    named = [str(one) for one in causes(error) if _names_a_proxy(one)]
    return named[-1] if named else system_text(error)


def http_text(error: BaseException) -> str:
    """Return what was wrong with an answer, such as `got more than 100 headers`."""
    texts = [str(one) for one in causes(error) if isinstance(one, HTTPException) and str(one)]
    return texts[0] if texts else str(error)
