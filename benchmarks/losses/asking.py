"""HTTP to the parts of a stack, without the product's clients."""

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

_TIMEOUT_S: Final = 10.0


def fetched(url: str, *, headers: Mapping[str, str] | None = None, data: bytes | None = None) -> bytes:
    """Return the body of an answer of the stack; `data` makes it a POST. Raises OSError."""
    request = urllib.request.Request(url, data, dict(headers or {}))  # noqa: S310 - an address of the stack
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
        body: bytes = answer.read()
        return body


def ask_prometheus(url: str, path: str, **form: str) -> Any:  # noqa: ANN401  # JSON
    """Return `data` of the answer of a Prometheus."""
    data = urllib.parse.urlencode(form).encode() if form else None
    return json.loads(fetched(f"{url}/api/v1/{path}", data=data))["data"]
