"""What servers do to those who ask them: answers that never end, that grow, or that are no HTTP at all.

Each is a behaviour for a RawServer. What has no end goes on until the client is gone or the test has ended.
"""

import gzip
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import repeat
from typing import Final

from tests.systems.loopback_servers import Behaviour

STATUS: Final = b"HTTP/1.1 200 OK\r\n"
JSON: Final = b"Content-Type: application/json\r\n"
BOMB_BYTES: Final = 250_000_000
EVERY_S: Final = 0.05


def sends(*pieces: bytes) -> Behaviour:
    """Send this, and end; what is still coming in is taken, because closing before that would take the answer back."""

    def behave(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"".join(pieces))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    return behave


def floods(begin: bytes, pieces: Callable[[], Iterable[bytes]]) -> Behaviour:
    """Send one piece after the other, as fast as they are taken."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(begin)
        for piece in pieces():
            if ended.is_set():
                return
            connection.sendall(piece)

    return behave


def drips(begin: bytes, piece: bytes) -> Behaviour:
    """Send a piece now and then: each read ends in time, the answer never does."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(begin)
        while not ended.wait(EVERY_S):
            connection.sendall(piece)

    return behave


def is_silent(_: socket.socket, ended: threading.Event) -> None:
    """Take the request, and answer nothing."""
    ended.wait()


@cache
def bomb(encoding: str) -> bytes:
    """Return a small body that becomes one of BOMB_BYTES."""
    if encoding == "gzip, gzip":
        return gzip.compress(bomb("gzip"))
    window = zlib.MAX_WBITS + 16 if encoding == "gzip" else zlib.MAX_WBITS
    packer = zlib.compressobj(wbits=window)
    zeros = bytes(1_000_000)
    return b"".join((*(packer.compress(zeros) for _ in range(BOMB_BYTES // len(zeros))), packer.flush()))


def explodes(encoding: str) -> Behaviour:
    """Answer with a body that is small on the way."""

    def behave(connection: socket.socket, _: threading.Event) -> None:
        body = bomb(encoding)
        head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall(STATUS + JSON + head + body)
        connection.recv(65_536)

    return behave


def answers(body: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK") -> Behaviour:
    """Answer in a proper way, with whatever body."""
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
    return sends(head, body)


def _chunks() -> Iterator[bytes]:
    return repeat(b"%x\r\n%s\r\n" % (100_000, b"x" * 100_000))


SLOW: Final[dict[str, Behaviour]] = {
    "is silent": is_silent,
    "drips its head": drips(STATUS + b"X-Drip: ", b"x"),
    "drips its status": drips(b"HTTP/1.1 ", b" "),
    "drips its body": drips(STATUS + JSON + b"Content-Length: 1000000\r\n\r\n", b" "),
    "drips its chunks": drips(STATUS + JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "drips a size of a chunk": drips(STATUS + JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "drips what follows its last chunk": drips(STATUS + JSON + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "goes on with 100": floods(b"", lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)),
}
"""Only the deadline ends them."""

GARBLED: Final[dict[str, Behaviour]] = {
    "closes at once": sends(),
    "closes in its head": sends(STATUS, b"X: y\r\n"),
    "closes in its body": sends(STATUS, JSON, b"Content-Length: 100\r\n\r\n{"),
    "speaks SSH": sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "speaks HTTP/0.9": sends(b'{"status": "success"}'),
    "sends bytes of TLS": sends(b"\x15\x03\x03\x00\x02\x02\x46"),
    "sends nothing but zeros": sends(bytes(100_000)),
    "sends a line of a head without an end": floods(STATUS + b"X: ", lambda: repeat(b"x" * 10_000)),
    "sends 100,000 headers": floods(STATUS, lambda: repeat(b"X: y\r\n" * 100, 1000)),
    "sends cookies of 64 KB": sends(STATUS, (b"Set-Cookie: a=" + b"b; expires=" * 5000 + b"\r\n") * 90, JSON, b"\r\n"),
    "sends a body without an end": floods(STATUS + JSON + b"\r\n", lambda: repeat(b"x" * 100_000)),
    "sends chunks without an end": floods(STATUS + JSON + b"Transfer-Encoding: chunked\r\n\r\n", _chunks),
    "promises an exabyte": floods(
        STATUS + JSON + b"Content-Length: 1" + b"0" * 18 + b"\r\n\r\n", lambda: repeat(bytes(9_999))
    ),
    "promises less than nothing": sends(STATUS, JSON, b"Content-Length: -5\r\n\r\n", b"[null]"),
    "promises a word": sends(STATUS, JSON, b"Content-Length: many\r\n\r\n", b"[null]"),
    "promises two lengths": sends(STATUS, JSON, b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", b"[null]"),
    "sends chunks without a size": sends(STATUS, JSON, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[null]\r\n"),
    "sends what is no gzip": sends(STATUS, JSON, b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\n[null]"),
    "sends six encodings": sends(STATUS, JSON, b"Content-Encoding: gzip", b", gzip" * 5, b"\r\n\r\n", bomb("gzip")[:9]),
    "sends a bomb of gzip": explodes("gzip"),
    "sends a bomb of deflate": explodes("deflate"),
    "sends a bomb in a bomb": explodes("gzip, gzip"),
    "redirects with a body without an end": floods(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/" + b"/" * 60_000 + b"\r\n\r\n",
        lambda: repeat(bytes(100_000)),
    ),
}
"""They end, or outgrow a limit."""

_DEPTH: Final = 100_000
FOREIGN: Final[dict[str, bytes]] = {
    "nothing": b"",
    "lists in lists": b"[" * _DEPTH + b"]" * _DEPTH,
    "objects in objects": b'{"status":' * _DEPTH + b"1" + b"}" * _DEPTH,
    "depth in a member that nobody reads": b'{"other":' + b"[" * _DEPTH + b"]" * _DEPTH + b"}",
    "a million digits": b"1" * 1_000_000,
    "a member of a million digits": b'{"status":' + b"1" * 1_000_000 + b',"id":' + b"1" * 1_000_000 + b"}",
    "no number": b"NaN",
    "infinity": b'{"status":Infinity}',
    "bytes that are no UTF-8": b'{"status":"\xff\xfe"}',
    "half of a surrogate": rb'{"status":"\ud800","id":1,"tenant_id":"\udfff"}',
    "a page": b"<html><head><title>Sign in</title></head></html>",
    "a page of titles": b"<title>" * 100_000,
    "null": b"null",
    "a list of nulls": b"[null]",
    "true": b"true",
    "truths for numbers and texts": b'{"status":true,"id":true,"tenant_id":true,"database":true,"silenceID":true}',
    "lists for texts": b'{"status":[],"id":[],"tenant_id":[],"database":[],"silenceID":[],"data":[]}',
    "hundreds of thousands of values": b"[" + b"[]," * 300_000 + b"[]]",
}
"""Bodies that no system answers to what it is asked, each with status 200."""
