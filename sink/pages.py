"""A small HTTP server for pages that are made when they are asked for."""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socket import AF_INET, AF_INET6
from socketserver import TCPServer, ThreadingMixIn
from typing import Final

_LARGEST_BODY: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer; `sent` is called when it has been written to the reader."""

    status: HTTPStatus
    content_type: str
    body: bytes
    sent: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, by whom. `last` is the last part of the path."""

    headers: Mapping[str, str]
    query: str
    last: str
    client: str  # an IP address


Route = Callable[[Request], Page]
"""Makes a page for a request."""


def json_page(status: HTTPStatus, document: object) -> Page:
    """Write JSON without blanks: the `/health` of the sink before this one is compared as text."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Page(status=status, content_type="application/json", body=body)


class PageServer(ThreadingMixIn, TCPServer):
    """Serves from daemon threads what its routes name, as "GET /path", or "POST /path/" for all that is directly below.

    Raises OSError if the port is taken. Not `http.server.HTTPServer`: that one looks up the host's own name, which
    takes seconds where DNS is broken.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, bind: str, port: int, routes: Mapping[str, Route]) -> None:
        self.address_family = AF_INET6 if ":" in bind else AF_INET
        self.routes = routes
        super().__init__((bind, port), _Handler)
        threading.Thread(target=self.serve_forever, name=f"http-{self.port}", daemon=True).start()

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return int(self.socket.getsockname()[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over a reader that went away; anything else is our mistake and shows its trace."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typed as a socket there


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = 10  # seconds for a reader that does not send its request

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if length.isdecimal():  # no route wants a body, but a reader that is cut off while it sends loses the answer
            self.rfile.read(min(int(length), _LARGEST_BODY))
        self._answer("POST")

    def _answer(self, method: str) -> None:
        path, _, query = self.path.partition("?")
        parent, _, last = path.rpartition("/")
        routes = self.server.routes
        route = routes.get(f"{method} {path}") or routes.get(f"{method} {parent}/", _not_found)
        headers: Mapping[str, str] = self.headers  # type: ignore[assignment]  # an e-mail Message is no Mapping
        page = route(Request(headers=headers, query=query, last=last, client=self.client_address[0]))
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)
        if page.sent is not None:
            page.sent()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the method that this replaces
        """Write nothing: a line per request would bury the events."""


def _not_found(_: Request) -> Page:
    return Page(status=HTTPStatus.NOT_FOUND, content_type="text/plain; charset=utf-8", body=b"404 page not found\n")
