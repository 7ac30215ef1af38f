"""A proxy before the sink's page: `python -m benchmarks.losses.broken.page PORT UPSTREAM VARIANT [ARGUMENT ...]`.

`fixed FILE` is a page of its own, without an upstream.
"""

import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runbook.local_stack.fakes.serving import Request, Response, Server, text_response
from runbook.platforms import hold_signals, wait_for_end

_TIMEOUT_S: Final = 10.0
_COUNTER: Final = "crm_events_ingested_total{"
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_HANDED_ON: Final = "x-prometheus-scrape-timeout-seconds"

Lines = Callable[[str], str | None]
"""A line of the page to what is served of it; None: nothing."""


def _counters(change: Callable[[float], float], mark: str = "") -> Lines:
    def line(text: str) -> str:
        if not text.startswith(_COUNTER) or mark not in text:
            return text
        head, _, value = text.rpartition(" ")
        return f"{head} {change(float(value)):g}"

    return line


def _plus(number: str, mark: str = "") -> Lines:
    return _counters(lambda value: value + float(number) if value else 0, mark)


def _dropped(pattern: str) -> Lines:
    return lambda text: None if re.search(pattern, text) else text


def _without_positions(number: str, mark: str) -> Lines:
    add = _plus(number, mark)
    return lambda text: None if text.startswith(("crm_events_next_offset", "crm_events_lag")) else add(text)


VARIANTS: Final[dict[str, Callable[..., Lines]]] = {
    "times": lambda factor: _counters(lambda value: int(value * float(factor))),
    "plus": _plus,
    "drops": _dropped,
    "replaces": lambda old, new: lambda text: text.replace(old, new),
    "without-positions-plus": _without_positions,
    "frozen": lambda: lambda text: text,
    "slow": lambda _: lambda text: text,
}


class Proxy:
    """Answers every path with the upstream's page, changed."""

    def __init__(self, upstream: str, variant: str, arguments: list[str]) -> None:
        self._upstream, self._variant = upstream, variant
        self._line = VARIANTS[variant](*arguments)
        self._wait_s = float(arguments[0]) if variant == "slow" else 0.0
        self._kept = self._page({}) if variant == "frozen" else None

    def __call__(self, request: Request) -> Response:
        """Return the page, or 502."""
        threading.Event().wait(self._wait_s)
        names = {_HANDED_ON: request.headers[_HANDED_ON]} if _HANDED_ON in request.headers else {}
        try:
            page = self._kept or self._page(names)
        except urllib.error.URLError as error:
            return text_response(502, f"{error.reason}\n")
        lines = (self._line(line) for line in page.splitlines())
        body = "".join(f"{line}\n" for line in lines if line is not None)
        return Response(status=200, body=body.encode(), content_type=_TEXT)

    def _page(self, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._upstream, headers=headers)  # noqa: S310 - the stack's own
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
            text: str = answer.read().decode()
            return text


def main() -> None:
    """Serve until SIGTERM."""
    hold_signals()
    port, upstream, variant, *arguments = sys.argv[1:]
    if variant == "fixed":
        page = Path(arguments[0]).read_bytes()
        with Server("page", int(port), lambda _: Response(status=200, body=page, content_type=_TEXT)):
            wait_for_end()
        return
    with Server("page", int(port), Proxy(upstream, variant, arguments)):
        wait_for_end()


if __name__ == "__main__":
    main()
