"""A small Docker engine on a Unix socket, whose answers have the shapes of the Engine API 1.45.

On Windows, where Python has no such sockets, it is at a TCP port.
"""

import base64
import io
import json
import socketserver
import struct
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

STDOUT, STDERR = 1, 2
Answer = tuple[Any, ...]
"""Status, body, and the value of the header about an archive."""
Printed = tuple[int, bytes, bytes]
"""Exit code, standard output, standard error."""


if sys.platform == "win32":
    _Base = socketserver.ThreadingTCPServer  # Python has no Unix sockets there
else:
    _Base = socketserver.ThreadingUnixStreamServer


class Engine:
    """What the engine has: containers by id, their inspection, log frames and files."""

    def __init__(self, socket_path: Path) -> None:
        self.containers: list[dict[str, Any]] = []
        self.inspections: dict[str, dict[str, Any]] = {}
        self.later: dict[str, list[dict[str, Any]]] = {}  # what an inspection becomes after it was looked at
        self.logs: dict[str, bytes] = {}
        self.files: dict[tuple[str, str], Answer] = {}
        self.printed: dict[tuple[str, str], Printed] = {}  # what `cat` prints, by container and path
        self.started: dict[str, Printed] = {}
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        self.failure: Answer | None = None
        self.api_version = "1.45"
        self.program = "Engine"
        if sys.platform == "win32":
            self._server = Engine._Server(("127.0.0.1", 0), self._handler())
            self.url = f"tcp://127.0.0.1:{self._server.server_address[1]}"
        else:
            self._server = Engine._Server(str(socket_path), self._handler())
            self.url = f"unix://{socket_path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    class _Server(_Base):
        daemon_threads = True
        request_queue_size = 128  # a Unix socket refuses whoever comes when it is full

        def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the one it stands for
            """Say nothing when a client has heard enough."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    def asked(self, what: str) -> dict[str, list[str]]:
        """Return the query of the last request for this."""
        return [query for _, path, query in self.requests if path.endswith(f"/{what}")][-1]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def has(
        self,
        name: str,
        *,
        service: str = "",
        state: str = "running",
        created: int = 1,
        inspection: dict[str, object] | None = None,
        labels: dict[str, str] | None = None,
        aliases: tuple[str, ...] = (),
        image: str = "x",
        mounts: dict[str, str] | None = None,
        published: dict[int, int] | None = None,
    ) -> str:
        """Have one more container; `aliases` are what legacy links call it in others, listed before its own name.

        `mounts` are sources of bind mounts by destination, `published` ports of 127.0.0.1 by the port inside.
        """
        number = f"{len(self.containers):064x}"
        labels = ({"com.docker.compose.service": service} if service else {}) | (labels or {})
        listed = {
            "Id": number,
            "Names": [*aliases, f"/{name}"],
            "State": state,
            "Created": created,
            "Labels": labels,
            "Image": image,
            "Mounts": [{"Type": "bind", "Source": one, "Destination": to} for to, one in (mounts or {}).items()],
        }
        self.containers.append(listed)
        bindings = {
            f"{inside}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
            for inside, port in (published or {}).items()
        }
        network = {"NetworkSettings": {"Networks": {"aether": {}}, "Ports": bindings}} if published else {}
        self.inspections[number] = inspected(status=state) | {"Mounts": listed["Mounts"]} | network | (inspection or {})
        return number

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Answer:
        """Return status and body; a body that is no bytes is sent as JSON."""
        self.requests.append((method, path, query))
        if path == "/version":
            return 200, {"ApiVersion": self.api_version, "Version": "26.1.0", "Components": [{"Name": self.program}]}
        if self.failure is not None:
            return self.failure
        if path == "/containers/json":
            return 200, self.containers
        _, kind, number, what = path.split("/", 3)
        if "exec" in {kind, what}:
            return self.executed(number, what, body)
        return self.of_container(number, what, query)

    def of_container(self, number: str, what: str, query: dict[str, list[str]]) -> Answer:
        """Answer what is asked of one container."""
        if number not in self.inspections:
            return 404, {"message": f"No such container: {number}"}
        if what == "archive":
            return self.files.get((number, query["path"][0]), (404, {"message": "Could not find the file"}))
        inspection = self.inspections[number]
        if what == "json" and self.later.get(number):
            self.inspections[number] = self.later[number].pop(0)
        return {"json": (200, inspection), "logs": (200, self.logs.get(number, b""))}.get(what, (204, b""))

    def executed(self, number: str, what: str, body: bytes) -> Answer:
        """Make a command of a container, start it, or say how it ended."""
        if what == "exec":
            program, name = json.loads(body)["Cmd"]
            missing = (1, b"", f"{program}: {name}: No such file or directory\n".encode())
            command = f"run{len(self.started)}"
            self.started[command] = self.printed.get((number, name), missing)
            return 201, {"Id": command}
        code, stdout, stderr = self.started[number]
        return 200, {"ExitCode": code} if what == "json" else frames((STDOUT, stdout), (STDERR, stderr))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self) -> str:
                return "unix"

            def reply(self) -> None:
                target = urlsplit(self.path)
                path = unquote(target.path).removeprefix(f"/v{engine.api_version}")
                sent = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status, body, *stat = engine.answer(self.command, path, parse_qs(target.query), sent)
                payload = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if payload is not body else "application/x-tar")
                self.send_header("Content-Length", str(len(payload)))
                for text in stat:
                    self.send_header("X-Docker-Container-Path-Stat", text)
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = reply  # noqa: N815 - names that http.server looks up

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def inspected(*, status: str = "running", health: str | None = None, **state: object) -> dict[str, object]:
    known = {"Status": status, "ExitCode": 0, "OOMKilled": False, "StartedAt": "2025-11-03T19:48:51.465169123Z"}
    known |= state | ({"Health": {"Status": health, "FailingStreak": 0, "Log": []}} if health else {})
    return {
        "State": known,
        "RestartCount": 0,
        "Config": {"Tty": False},
        "Mounts": [],
        "NetworkSettings": {"Networks": {}},
    }


def frames(*pieces: tuple[int, bytes]) -> bytes:
    """Multiplex as the engine does without a terminal: stream, three zero bytes, length, bytes."""
    return b"".join(struct.pack(">BxxxL", stream, len(data)) + data for stream, data in pieces)


def stat(name: str, *, link: str = "") -> str:
    document = {"name": name, "size": 1, "mode": 420, "mtime": "2025-11-03T19:48:51Z", "linkTarget": link}
    return base64.b64encode(json.dumps(document).encode()).decode()


def tar(name: str, content: bytes | None = None) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content or b"")
        member.type = tarfile.REGTYPE if content is not None else tarfile.DIRTYPE
        archive.addfile(member, io.BytesIO(content or b""))
    return target.getvalue()
