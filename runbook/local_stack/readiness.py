"""Whether a service is ready: asked in its own protocol, by a TCP connection, or by looking for a file."""

import http.client
import socket
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from runbook.local_stack.kafka import missing_metadata
from runbook.local_stack.postgres import missing_login

_ANSWER_S = 1.0
_EXCERPT = 200


def missing_for(ready: str) -> str:
    """Say what keeps a service from being ready, or nothing.

    `ready` is an address: http:// is ready when GET answers 200, kafka:// when metadata comes, postgresql:// when a
    login would be taken, tcp:// when it connects, file:// when it exists.
    """
    address = urlsplit(ready)
    if address.scheme == "file":
        path = file_of(ready)
        return "" if path.exists() else f"{path} is not there yet"
    host, port = str(address.hostname), int(address.port or 0)
    try:
        if address.scheme == "postgresql":
            return missing_login(host, port)
        if address.scheme == "http":
            return _http(host, port, address.path, ready)
        socket.create_connection((host, port), timeout=_ANSWER_S).close()
        return missing_metadata(address.netloc) if address.scheme == "kafka" else ""
    except (OSError, http.client.HTTPException) as error:
        return f"{ready}: {error}"


def file_of(ready: str) -> Path:
    """Return the path of a file:// address."""
    return Path(url2pathname(urlsplit(ready).path))


def _http(host: str, port: int, path: str, ready: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_EXCERPT).decode("utf-8", "replace")
    finally:
        connection.close()
    return "" if answer.status == HTTPStatus.OK else f"GET {ready}: {answer.status} {body.strip()}".rstrip()
