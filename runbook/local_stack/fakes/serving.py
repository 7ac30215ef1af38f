"""What every stand-in needs of HTTP: routes, JSON answers, one log line per request, and an orderly end.

HTTP/1.1 with keep-alive on 127.0.0.1. A log line is time, method, path and status: never a query string, a header or
a body, because those may carry a secret.
"""

import json
import re
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NoReturn, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from runbook.platforms import claim_alone

HOST = "127.0.0.1"
JSON = "application/json"
_SHUTDOWN_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `headers` have lower-case names, `variables` are the named parts of the route's path."""

    method: str
    path: str
    target: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer. Content-Length is added when it is written."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


App = Callable[[Request], Response]


def json_response(status: int, document: object, headers: Mapping[str, str] | None = None) -> Response:
    """`document` as UTF-8 JSON."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status=status, body=body, headers=headers or {})


def text_response(status: int, text: str) -> Response:
    """Plain text, as Go's http.Error writes it."""
    return Response(status=status, body=text.encode(), content_type="text/plain; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path template, such as `/realms/{realm}`: a variable is one path segment."""

    method: str
    template: str
    handler: App

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the path's variables, or None when the path is another one."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        found = re.fullmatch(pattern, path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


def routed(routes: tuple[Route, ...], not_found: object = MappingProxyType({"detail": "Not Found"})) -> App:
    """Return the app that hands a request to the first route with its path and method; else 404, or 405."""

    def app(request: Request) -> Response:
        known_path = False
        for route in routes:
            variables = route.match(request.path)
            if variables is None:
                continue
            if route.method == request.method:
                return route.handler(replace(request, variables=variables))
            known_path = True
        if known_path:
            return json_response(405, {"detail": "Method Not Allowed"})
        return json_response(404, dict(not_found) if isinstance(not_found, Mapping) else not_found)

    return app


def log(line: str) -> None:
    """Write one timestamped line (UTC) to stdout, in one write so that threads do not mix their lines."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    sys.stdout.write(f"{stamp}Z {line}\n")
    sys.stdout.flush()


def fail(name: str, problem: str) -> NoReturn:
    """Leave with exit code 1 and one line that names the program and the problem."""
    sys.stderr.write(f"{name}: {problem}\n")
    raise SystemExit(1)


class Server:
    """An HTTP server in a thread of its own; entering it starts it, leaving it stops it."""

    def __init__(self, name: str, port: int, app: App) -> None:
        """Bind the port (0: a free one); leaves with exit code 1 if it is taken."""
        try:
            self._http = _HTTPServer((HOST, port), _handler_class(app))
        except OSError as error:
            fail(name, f"cannot listen on {HOST}:{port}: {error.strerror}")
        self._name = name
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(_SHUTDOWN_POLL_S,), name="http", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._http.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        log(f"{self._name} listening on http://{HOST}:{self.port}")
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        log(f"{self._name} ended")


class _HTTPServer(ThreadingHTTPServer):
    allow_reuse_address = False  # see claim_alone
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind without HTTPServer's reverse look-up of the own address, which can take seconds without a DNS."""
        claim_alone(self.socket)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client has gone away; everything else is a defect and shows its traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler_class(app: App) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            if "Transfer-Encoding" in self.headers or not self.headers.get("Content-Length", "0").isdecimal():
                self.close_connection = True
                response = text_response(411, "the body needs a Content-Length\n")
            else:
                response = app(self._request())
            log(f"{self.command} {urlsplit(self.path).path} {response.status}")
            self._write(response)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815 - names that http.server looks up

        def _request(self) -> Request:
            target = urlsplit(self.path)
            length = int(self.headers.get("Content-Length", "0"))
            return Request(
                method=self.command,
                path=target.path,
                target=self.path,
                query=dict(parse_qsl(target.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )

        def _write(self, response: Response) -> None:
            self.send_response_only(response.status)
            self.send_header("Date", self.date_time_string())
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.body)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        def log_message(self, *_: object) -> None:
            """Say nothing: `answer` has written the line."""

    return Handler
