"""Proxies that pass requests on as they came, keep what was asked, and refuse what they do not allow."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Final, TypeVar
from urllib.parse import urlsplit

_CHUNK_BYTES: Final = 65_536
_TIME_S: Final = 60.0
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})
_VERSION: Final = re.compile(r"^/v[\d.]+(?=/)")
_REFUSAL: Final = b"<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n"
"""What HAProxy, and so docker-socket-proxy, answers."""

Allows = Callable[[str, str], bool]
"""Takes method and path, without the version of an API."""


def everything(_method: str, _path: str) -> bool:
    return True


def only_reading(method: str, _path: str) -> bool:
    """Allow what docker-socket-proxy does with CONTAINERS=1 and nothing else: its POST=0 refuses every other method."""
    return method in {"GET", "HEAD"}


def reading_and_restarts(method: str, path: str) -> bool:
    """Allow what it does with ALLOW_RESTARTS=1 besides."""
    return only_reading(method, path) or re.fullmatch(r"/containers/[\w.-]+/(stop|restart|kill)", path) is not None


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIME_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIME_S)
        self.sock.connect(str(self._path))


class _UnixServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


S = TypeVar("S", ThreadingHTTPServer, _UnixServer)


class Proxy:
    """What it passed on, or refused, in `asked`: `GET /path`, without the query and the version of an API."""

    def __init__(self, connect: Callable[[], HTTPConnection], allows: Allows) -> None:
        self.asked: list[str] = []
        self.refused: list[str] = []
        self.allows = allows
        self.connect = connect

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Handler", (_Handler,), {"proxy": self})

    def let_through(self, method: str, path: str) -> bool:
        """Keep what is asked, and say whether it is passed on."""
        self.asked.append(f"{method} {path}")
        if self.allows(method, path):
            return True
        self.refused.append(self.asked[-1])
        return False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def address_string(self) -> str:
        return "client"

    def pass_on(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.proxy.let_through(self.command, _VERSION.sub("", urlsplit(self.path).path)):
            self._refuse()
            return
        upstream = self.proxy.connect()
        try:
            self._exchange(upstream, body)
        except OSError:  # it is being restarted, or the client has heard enough: the connection ends
            return
        finally:
            upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815 - names that http.server looks up

    def _exchange(self, upstream: HTTPConnection, body: bytes) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                upstream.putheader(name, value)
        upstream.endheaders(body or None)
        answer = upstream.getresponse()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while chunk := answer.read1(_CHUNK_BYTES):
            self.wfile.write(chunk)
            self.wfile.flush()

    def _refuse(self) -> None:
        self.send_response_only(403, "Forbidden")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(_REFUSAL)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(_REFUSAL)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def http_proxy(url: str, allows: Allows = everything) -> Iterator[tuple[str, Proxy]]:
    """Stand before an HTTP server as long as the block lasts; yields the address to ask instead."""
    address = urlsplit(url)
    proxy = Proxy(lambda: HTTPConnection(address.hostname or "", address.port, timeout=_TIME_S), allows)
    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), proxy.handler())) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}", proxy


@contextmanager
def engine_proxy(engine: str, path: Path, allows: Allows = everything) -> Iterator[Proxy]:
    """Stand before an engine at `unix://...`, at a socket of its own."""
    proxy = Proxy(lambda: _UnixConnection(Path(engine.removeprefix("unix://"))), allows)
    with _serving(_UnixServer(str(path), proxy.handler())):
        yield proxy


@contextmanager
def _serving(server: S) -> Iterator[S]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
