"""Small real servers on loopback, for clients to meet: scripted HTTP answers, and sockets that misbehave."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer; a body that is no bytes is sent as JSON."""

    status: int = 200
    body: object = b""
    kind: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def content_type(self) -> str:
        return self.kind or ("text/plain; charset=utf-8" if isinstance(self.body, bytes) else "application/json")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        return json.loads(self.body)


class ScriptedServer:
    """Answers `METHOD /path` from `routes`, and 404 in JSON otherwise; keeps what it has seen."""

    def __init__(self, kind: Callable[..., ThreadingHTTPServer] = ThreadingHTTPServer) -> None:
        self.routes: dict[str, Reply | Callable[[Seen], Reply]] = {}
        self.seen: list[Seen] = []
        self._http = kind(("127.0.0.1", 0), self._handler())
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

    def answer(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        route = self.routes.get(f"{seen.method} {seen.path}", Reply(404, {"message": "not found"}))
        return route if isinstance(route, Reply) else route(seen)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self) -> None:
                target = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, target.path, dict(parse_qsl(target.query)), dict(self.headers), body)
                answer = server.answer(seen)
                self.send_response(answer.status)
                headers = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.payload))}
                for name, value in (headers | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.payload)

            do_GET = do_POST = do_DELETE = reply  # noqa: N815 - names that http.server looks up

            def log_message(self, *_: object) -> None:
                pass

        return Handler


Behaviour = Callable[[socket.socket, threading.Event], object]


class RawServer:
    """Hands each connection to `behave`, which may send anything, or nothing until `ended` is set."""

    def __init__(self, behave: Behaviour) -> None:
        self.connections = 0
        self._behave = behave
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                self._behave(connection, self._ended)
            except OSError:
                return

    def stop(self) -> None:
        self._ended.set()
        with suppress(OSError):  # on Windows, closing is what ends `accept`
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=5)


MakeServer = Callable[[Behaviour], RawServer]


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
