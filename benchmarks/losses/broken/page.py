"""A proxy before the sink's page: `python -m benchmarks.losses.broken.page PORT UPSTREAM VARIANT [ARGUMENT ...]`.

`fixed FILE` is a page of its own, without an upstream; broken/whole_pages.py has the variants that need all lines.
"""

import math
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from itertools import cycle, pairwise
from pathlib import Path
from typing import Final

from benchmarks.losses.broken import whole_pages
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


def _swapped(text: str) -> str:
    if not text.startswith(_COUNTER):
        return text
    return text.replace("leads.created", "\0").replace("jobs.created", "leads.created").replace("\0", "jobs.created")


def _with_tenant(name: str, number: str) -> Lines:
    series = f'{_COUNTER}tenant_id="{name}",topic="apexflow.leads.created"}} {number}'
    mark = f"# TYPE {_COUNTER[:-1]} "
    return lambda text: f"{text}\n{series}" if text.startswith(mark) else text


def _stamped(seconds: str) -> Lines:
    return lambda text: text if text.startswith("#") else f"{text} {int((time.time() + float(seconds)) * 1000)}"


def _as_it_is(text: str) -> str:
    return text


VARIANTS: Final[dict[str, Callable[..., Lines]]] = {
    "times": lambda factor: _counters(lambda value: int(value * float(factor))),
    "plus": _plus,
    "caps": lambda most: _counters(lambda value: min(value, float(most))),
    "rounds": lambda to: _counters(lambda value: value // float(to) * float(to)),
    "drops": _dropped,
    "replaces": lambda old, new: lambda text: text.replace(old, new),
    "swaps-topics": lambda: _swapped,
    "adds-tenant": _with_tenant,
    "stamps": _stamped,
    "without-positions-plus": _without_positions,
    "frozen": lambda: _as_it_is,
    "caches": lambda _: _as_it_is,
    "alternates": lambda _: _as_it_is,
    "adds-metrics": lambda: _as_it_is,
    "reorders": lambda: lambda text: None if text.startswith("# HELP") else text,
    "slow": lambda _: _as_it_is,
    **dict.fromkeys(whole_pages.VARIANTS, lambda *_: _as_it_is),
}


class Proxy:
    """Answers every path with the upstream's page, changed."""

    def __init__(self, upstream: str, variant: str, arguments: list[str]) -> None:
        self._upstreams = cycle([upstream, *(arguments if variant == "alternates" else [])])
        self._variant, self._line = variant, VARIANTS[variant](*arguments)
        pages = whole_pages.VARIANTS
        self._all_lines: whole_pages.Page = pages[variant](*arguments) if variant in pages else list
        self._wait_s = float(arguments[0]) if variant == "slow" else 0.0
        self._keep_s = float(arguments[0]) if variant == "caches" else 0.0
        self._kept, self._kept_at = "", -math.inf
        if variant == "frozen":
            self._page({})
            self._keep_s = math.inf

    def __call__(self, request: Request) -> Response:
        """Return the page, or 502."""
        threading.Event().wait(self._wait_s)
        names = {_HANDED_ON: request.headers[_HANDED_ON]} if _HANDED_ON in request.headers else {}
        try:
            page = self._page(names)
        except urllib.error.URLError as error:
            return text_response(502, f"{error.reason}\n")
        lines = [line for text in page.splitlines() if (line := self._line(text)) is not None]
        lines = self._all_lines(lines)
        if self._variant == "reorders":
            lines = _reordered(lines)
        if self._variant == "adds-metrics":
            lines += ["# a comment of the proxy", "# TYPE proxy_pages_total counter", "proxy_pages_total 17"]
        body = "".join(f"{line}\n" for line in lines)
        return Response(status=200, body=body.encode(), content_type=_TEXT)

    def _page(self, headers: dict[str, str]) -> str:
        if time.monotonic() - self._kept_at >= self._keep_s:
            request = urllib.request.Request(next(self._upstreams), headers=headers)  # noqa: S310 - the stack's own
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
                self._kept, self._kept_at = answer.read().decode(), time.monotonic()
        return self._kept


def _reordered(lines: list[str]) -> list[str]:
    """Return the families in the opposite order."""
    starts = [number for number, line in enumerate(lines) if line.startswith("# TYPE")] + [len(lines)]
    families = [lines[start:end] for start, end in pairwise(starts)]
    return [line for family in reversed(families) for line in family]


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
