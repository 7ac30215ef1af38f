"""The Docker engine of this machine at a port of 127.0.0.1, as `tcp://` in DOCKER_HOST wants it, while a test runs."""

import contextlib
import os
import socket
import socketserver
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def engine_at_a_port() -> Iterator[str]:
    """Give the engine's socket a port, and yield the value of DOCKER_HOST."""
    socket_path = (os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock").removeprefix("unix://")
    with _Forwarder(socket_path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _Forwarder(socketserver.ThreadingTCPServer):
    """Carries bytes between a port and a Unix socket."""

    daemon_threads = True

    def __init__(self, socket_path: str) -> None:
        super().__init__(("127.0.0.1", 0), self.Carrier)
        self.socket_path = socket_path

    class Carrier(socketserver.BaseRequestHandler):
        """One connection."""

        server: "_Forwarder"

        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(self.server.socket_path)
                back = threading.Thread(target=_carried, args=(engine, self.request), daemon=True)
                back.start()
                _carried(self.request, engine)
                back.join()


def _carried(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65_536):
            target.sendall(content)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
