"""Sockets that know the deadline of the exchange that they serve, and urllib3's connections made of them.

A time-out of a socket limits one read: a server that sends a byte a second never exceeds it. These ask before each
read what is left of the exchange, whatever else it consists of: looking up the name, connecting, TLS, head, body.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Found = tuple[int, int, int, str, Any]
"""One line of socket.getaddrinfo: family, kind, protocol, canonical name, address."""

_DEADLINE: Final[ContextVar[float]] = ContextVar("_DEADLINE")
"""When the exchange of this thread must have ended, by the monotonic clock."""


@contextmanager
def deadline(timeout_s: float) -> Iterator[None]:
    """Give what this thread does over its sockets, as long as the block lasts, so many seconds."""
    token = _DEADLINE.set(time.monotonic() + timeout_s)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def left_s() -> float:
    """Return the rest of the exchange, in seconds; TimeoutError when there is none."""
    left = _DEADLINE.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError("the exchange is not over in time")
    return left


class _TimedSocket(socket.socket):
    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        self.settimeout(left_s())
        return super().recv(bufsize, flags)

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(left_s())
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401 - any buffer
        self.settimeout(left_s())
        super().sendall(data, flags)


class _TimedSSLSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(left_s())
        super().do_handshake(block)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002, ANN401 - the signature is ssl's
        self.settimeout(left_s())
        return super().read(len, buffer)

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401 - any buffer
        self.settimeout(left_s())
        return super().send(data, flags)


class _TimedConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self.host, self.port, self.socket_options)


class _TimedHTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self.host, self.port, self.socket_options)


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedHTTPSConnection

    def _validate_conn(self, conn: Any) -> None:  # noqa: ANN401 - of a class that urllib3 does not export
        """Connect before the request is sent, as the base does, without its warning: `insecure` has our own."""
        if conn.is_closed:
            conn.connect()


POOLS: Final = {"http": _TimedPool, "https": _TimedHTTPSPool}
"""What urllib3 makes its connections with, by scheme."""


def timed_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return the context, whose sockets know the deadline from now on."""
    context.sslsocket_class = _TimedSSLSocket
    return context


def _connected(host: str, port: int, options: Sequence[tuple[Any, ...]] | None) -> socket.socket:
    """Connect to the first address that accepts; each has its share of the time, so that one cannot take all of it."""
    failed: OSError = ConnectionRefusedError("the name has no address")
    found = _addresses(host.strip("[]"), port)
    for number, (family, kind, protocol, _, address) in enumerate(found):
        sock = _TimedSocket(family, kind, protocol)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(left_s() / (len(found) - number))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    raise failed


def _addresses(host: str, port: int) -> Sequence[Found]:
    """Return the addresses of a name. Raises socket.gaierror, also when the resolver does not answer in time."""
    found: list[Sequence[Found]] = []
    failed: list[socket.gaierror] = []

    def resolve() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except socket.gaierror as error:
            failed.append(error)
        except UnicodeError:  # a name that IDNA does not allow
            failed.append(socket.gaierror(socket.EAI_NONAME, "is no host name"))

    thread = Thread(target=resolve, daemon=True)  # a resolver cannot be interrupted, but left behind
    thread.start()
    thread.join(left_s())
    if not found:
        raise failed[0] if failed else socket.gaierror(socket.EAI_AGAIN, "the resolver does not answer")
    return found[0]
