"""A small HTTP server for pages that are made when they are asked for."""

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socket import AF_INET, AF_INET6
from socketserver import TCPServer, ThreadingMixIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer; `sent` is called when it has been written to the reader."""

    status: HTTPStatus
    content_type: str
    body: bytes
    sent: Callable[[], None] | None = None


Route = Callable[[Mapping[str, str]], Page]
"""Makes a page for a request with these headers."""


class PageServer(ThreadingMixIn, TCPServer):
    """Serves GET for fixed paths from daemon threads. Raises OSError if the port is taken.

    Not `http.server.HTTPServer`: that one looks up the host's own name, which takes seconds where DNS is broken.
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
        route = self.server.routes.get(self.path.partition("?")[0])
        page = _NOT_FOUND if route is None else route(self.headers)  # type: ignore[arg-type]  # an e-mail Message is no Mapping
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)
        if page.sent is not None:
            page.sent()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the method that this replaces
        """Write nothing: a line per request would bury the events."""


_NOT_FOUND = Page(status=HTTPStatus.NOT_FOUND, content_type="text/plain; charset=utf-8", body=b"404 page not found\n")
