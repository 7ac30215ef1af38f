"""Is a part ready? One question, asked over HTTP, by a TCP connection, or by the presence of a file."""

import http.client
import socket
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ANSWER_S = 1.0
_EXCERPT = 200


def missing_for(ready: str) -> str:
    """Say what keeps a part from being ready, or nothing.

    `ready` is an address: http:// is ready when GET answers 200, tcp:// when it connects, file:// when it exists.
    """
    address = urlsplit(ready)
    if address.scheme == "file":
        path = file_of(ready)
        return "" if path.exists() else f"{path} is not there yet"
    try:
        if address.scheme == "tcp":
            socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=_ANSWER_S).close()
            return ""
        return _http(str(address.hostname), int(address.port or 0), address.path, ready)
    except (OSError, http.client.HTTPException) as error:
        return f"{ready}: {error}"


def file_of(ready: str) -> Path:
    """Return the path of a file:// address."""
    return Path(unquote(urlsplit(ready).path))


def _http(host: str, port: int, path: str, ready: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_EXCERPT).decode("utf-8", "replace")
    finally:
        connection.close()
    return "" if answer.status == HTTPStatus.OK else f"GET {ready}: {answer.status} {body.strip()}".rstrip()
