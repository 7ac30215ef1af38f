"""One page of several sinks: `python -m benchmarks.losses.broken.aggregator PORT HOW URL ...`.

HOW is `sum`, which is right for sinks that share a group, or `max`, which is not. Positions are those of all sinks.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Final

from runbook.local_stack.fakes.serving import Request, Response, Server, text_response
from runbook.platforms import hold_signals, wait_for_end

_TIMEOUT_S: Final = 10.0
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_COUNTERS: Final = ("crm_events_ingested_total{", "crm_events_rejected_total{")
_POSITIONS: Final = ("crm_events_next_offset{", "crm_events_lag{")
_HANDED_ON: Final = "x-prometheus-scrape-timeout-seconds"

HOWS: Final[dict[str, Callable[[Sequence[float]], float]]] = {"sum": sum, "max": max}


def added(pages: Sequence[str], how: str) -> str:
    """Return the counters of all pages, each series once, and the positions as they are."""
    counters: dict[str, list[float]] = {}
    positions: dict[str, str] = {}
    for line in "\n".join(pages).splitlines():
        series, _, value = line.rpartition(" ")
        if line.startswith(_COUNTERS):
            counters.setdefault(series, []).append(float(value))
        elif line.startswith(_POSITIONS):
            positions[series] = value
    lines = [f"{series} {HOWS[how](values):g}" for series, values in counters.items()]
    lines += [f"{series} {value}" for series, value in positions.items()]
    return "".join(f"{line}\n" for line in sorted(lines))


def main() -> None:
    """Serve until SIGTERM."""
    hold_signals()
    port, how, *urls = sys.argv[1:]

    def answer(request: Request) -> Response:
        names = {_HANDED_ON: request.headers[_HANDED_ON]} if _HANDED_ON in request.headers else {}
        try:
            page = added([_page(url, names) for url in urls], how)
        except urllib.error.URLError as error:
            return text_response(502, f"{error.reason}\n")
        return Response(status=200, body=page.encode(), content_type=_TEXT)

    with Server("aggregator", int(port), answer):
        wait_for_end()


def _page(url: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the stack's own
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
        text: str = answer.read().decode()
        return text


if __name__ == "__main__":
    main()
