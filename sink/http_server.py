"""A small HTTP server with routes."""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socket import AF_INET, AF_INET6
from socketserver import TCPServer, ThreadingMixIn
from typing import Final

from sink.platforms import claim_alone

_MAX_BODY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP response; `on_sent` is called after the client's socket has taken all of it."""

    status: HTTPStatus
    content_type: str
    body: bytes
    on_sent: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request. `last_segment` is what follows the last slash of the path."""

    headers: Mapping[str, str]
    query: str
    last_segment: str
    client: str  # an IP address


Route = Callable[[Request], Response]
"""Answers a request."""


def json_response(status: HTTPStatus, document: object) -> Response:
    """Return a JSON response without blanks: clients compare the text of `/health` with that of the previous sink."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Response(status=status, content_type="application/json", body=body)


class HttpServer(ThreadingMixIn, TCPServer):
    """Serves its routes from daemon threads: "GET /path", or "POST /path/" for each path directly below.

    Raises OSError if the port is taken. Not `http.server.HTTPServer`: that one looks up the host's own name, which
    takes seconds where DNS is broken.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, bind: str, port: int, routes: Mapping[str, Route]) -> None:
        self.address_family = AF_INET6 if ":" in bind else AF_INET
        self.routes = routes
        super().__init__((bind, port), _Handler)
        threading.Thread(target=self._serve, name=f"http-{self.port}", daemon=True).start()

    def server_bind(self) -> None:
        """Bind where nothing listens, though connections of an earlier sink may not be over."""
        claim_alone(self.socket)
        super().server_bind()

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return int(self.socket.getsockname()[1])

    def service_actions(self) -> None:
        """End the serving once the port has been closed: it would poll the closed socket without a pause."""
        if self.socket.fileno() < 0:
            raise _ClosedError

    def _serve(self) -> None:
        with suppress(_ClosedError):
            self.serve_forever()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that has disconnected; anything else is a bug, and its traceback is printed."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typed as a socket there


class _ClosedError(Exception):
    """The port has been closed."""


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    timeout = 10  # seconds for a client that does not send its request

    def do_GET(self) -> None:
        self._respond("GET")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if length.isdecimal():  # no route uses the body, but a client that is cut off while sending gets no response
            self.rfile.read(min(int(length), _MAX_BODY_BYTES))
        self._respond("POST")

    def _respond(self, method: str) -> None:
        path, _, query = self.path.partition("?")
        parent, _, last_segment = path.rpartition("/")
        routes = self.server.routes
        route = routes.get(f"{method} {path}") or routes.get(f"{method} {parent}/", _not_found)
        headers: Mapping[str, str] = self.headers  # type: ignore[assignment]  # an e-mail Message is no Mapping
        client = self.client_address[0]
        response = route(Request(headers=headers, query=query, last_segment=last_segment, client=client))
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)
        if response.on_sent is not None:
            response.on_sent()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the method that this replaces
        """Write nothing: a line for each request would hide the lines of the events."""


def _not_found(_: Request) -> Response:
    body = b"404 page not found\n"
    return Response(status=HTTPStatus.NOT_FOUND, content_type="text/plain; charset=utf-8", body=body)
