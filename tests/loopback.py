"""A small HTTP server on loopback that plays one system, as well or as badly as a test wants."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; a body that is no bytes is sent as JSON."""

    status: int = 200
    body: object = b""
    kind: str = "application/json"

    @property
    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answer = Callable[[Any], Reply]
"""Takes the request's JSON (None without any)."""


class Loopback:
    """Answers `METHOD /path` from `routes`, `*` for all others; anything else is 404. `asked` keeps what came."""

    def __init__(self, **routes: Reply) -> None:
        self.routes: dict[str, Reply | Answer] = dict(routes)
        self.asked: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, name: str, body: bytes) -> Reply:
        self.asked.append(name)
        route = self.routes.get(name) or self.routes.get("*") or Reply(404, {"message": "not found"})
        return route if isinstance(route, Reply) else route(json.loads(body) if body else None)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                is_json = "json" in self.headers.get("Content-Type", "")
                name = f"{self.command} {urlsplit(self.path).path}"
                answer = loopback._answer(name, body if is_json else b"")
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.kind)
                self.send_header("Content-Length", str(len(answer.payload)))
                self.end_headers()
                self.wfile.write(answer.payload)

            do_GET = do_POST = do_DELETE = reply  # noqa: N815 - names that http.server looks up

            def log_message(self, *_: object) -> None:
                pass

        return Handler
