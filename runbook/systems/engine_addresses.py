"""The address of a Docker engine: what the docker program and its SDK both take, and the right form of all else.

Source: the client of the docker program (`ParseHostURL`, "unable to parse docker host") and the SDK's `parse_host`.
"""

import os
import sys
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from runbook.systems.addresses import holds_password

WINDOWS: Final = "win32"
DEFAULT_SOCKET: Final = "unix:///var/run/docker.sock"
DEFAULT_PIPE: Final = "npipe:////./pipe/docker_engine"
_SCHEMES: Final = ("unix", "npipe", "tcp", "ssh")
_SOCKETS: Final = frozenset({"unix", "http+unix", "fd"})
_PIPES: Final = ("//./pipe/", "//")
_WEB: Final = frozenset({"tcp", "http", "https"})
_PORTS: Final = {"https": 2376}
_PORT: Final = 2375


class EngineAddressError(ValueError):
    """An address that no engine can have; `right` is the form that was most likely meant."""

    def __init__(self, mistake: str, right: str) -> None:
        """Keep both: a setting, a variable and a context each say the right form in their own way."""
        super().__init__(mistake)
        self.right = right


def default_address(platform: str = sys.platform) -> str:
    """Return where an engine is if nothing says where: Docker's socket, on Windows its pipe."""
    return DEFAULT_PIPE if platform == WINDOWS else DEFAULT_SOCKET


def check_engine_address(address: str, platform: str = sys.platform) -> None:
    """Raise EngineAddressError unless it is `unix:///PATH`, `npipe:////./pipe/NAME`, `tcp://HOST:PORT` or `ssh://HOST`.

    A pipe is an address on Windows alone, a socket everywhere else (Python has no Unix sockets on Windows).
    """
    if holds_password(address):
        mistake = "holds a password, which Docker does not take: use TLS (DOCKER_CERT_PATH) or ssh://USER@HOST"
        raise EngineAddressError(mistake, "tcp://HOST:2376")
    right = _right_form(address.strip(), platform)
    if right != address:
        raise EngineAddressError(_mistake(address, platform), right)


def _right_form(address: str, platform: str) -> str:
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = _without_scheme(address)
    scheme = scheme.lower()
    if scheme == "ssh":
        return address if _has_host(rest) and address.startswith("ssh://") else "ssh://USER@HOST"
    if scheme == "npipe":
        return _pipe(rest) if platform == WINDOWS else DEFAULT_SOCKET
    if scheme in _SOCKETS:
        return DEFAULT_PIPE if platform == WINDOWS else _socket("" if scheme == "fd" else rest)
    return _tcp(rest if scheme in _WEB else "", _PORTS.get(scheme, _PORT))


def _without_scheme(address: str) -> tuple[str, str]:
    """Return the scheme that an address without `://` most likely has, and what stands behind it."""
    scheme, colon, rest = address.partition(":")
    if colon and scheme.lower() in {*_SCHEMES, *_SOCKETS}:
        return scheme, rest
    if address.replace("\\", "/").startswith(_PIPES):
        return "npipe", address
    return ("unix" if address.startswith(("/", "~")) else "tcp"), address


def _socket(path: str) -> str:
    path = os.path.expanduser(unquote(path) if path.startswith("%") else path)  # noqa: PTH111 - Path fails without a home
    return f"unix://{'' if path.startswith('/') else '/'}{path}" if path.strip("/") else DEFAULT_SOCKET


def _pipe(path: str) -> str:
    name = path.replace("\\", "/").rpartition("/")[2]
    return f"npipe:////./pipe/{name}" if name else DEFAULT_PIPE


def _tcp(rest: str, port: int) -> str:
    parts = _split(rest)
    if parts is None or not (parts.hostname or parts.port):
        return f"tcp://HOST:{port}"
    if parts.port:
        return f"tcp://{parts.netloc}{parts.path}"
    return f"tcp://{parts.netloc.rstrip(':')}:{port}"


def _split(rest: str) -> SplitResult | None:
    """Return host, port and path; None where they cannot be told."""
    try:
        parts = urlsplit(f"//{rest}")
        return parts if parts.port != 0 and not set(parts.netloc) & set(" \t\r\n\\") else None
    except ValueError:  # a port that is no number, or an IPv6 address without brackets
        return None


def _has_host(rest: str) -> bool:
    parts = _split(rest)
    return parts is not None and bool(parts.hostname) and parts.path in {"", "/"}


def _mistake(address: str, platform: str) -> str:
    scheme, separator, rest = address.partition("://")
    parts = _split(rest)
    lacks_port = parts is not None and bool(parts.hostname) and not parts.port
    mistakes = {
        "begins or ends with a space": address != address.strip(),
        "has no scheme": not separator,
        f"begins with {scheme}://, which is no engine's address": scheme not in _SCHEMES,
        "is a named pipe, which Windows alone has": scheme == "npipe" and platform != WINDOWS,
        "is a Unix socket, which Python cannot open on Windows": scheme == "unix" and platform == WINDOWS,
        "has no absolute path behind unix://": scheme == "unix",
        "is not written as a pipe": scheme == "npipe",
        "has no port": scheme == "tcp" and lacks_port,
        "has no host and port that can be told": scheme == "tcp",
        "has no host": True,
    }
    return next(words for words, is_so in mistakes.items() if is_so)
