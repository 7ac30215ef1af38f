"""What the page of broken/sink.py shows that is not so."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sink.metrics import Metrics, MetricsPage

_COUNTER: Final = b"crm_events_ingested_total{"


def _freezes_page(seconds: str) -> None:
    page, shown = Metrics.page, list[MetricsPage]()
    since = time.monotonic() + float(seconds)

    def changed(self: Metrics, **options: Any) -> MetricsPage:  # noqa: ANN401  # handed on
        if time.monotonic() < since or not shown:
            shown[:] = [page(self, **options)]
        return shown[0]

    Metrics.page = changed  # type: ignore[method-assign]  # the broken variant


def _shows(change: Callable[[int], int], *, scrapes_only: bool = False) -> None:
    """Change each value of the counter, on every page or on those that Prometheus gets."""
    page = Metrics.page

    def shown_as(line: bytes) -> bytes:
        head, _, value = line.rpartition(b" ")
        return b"%s %d" % (head, change(int(float(value)))) if line.startswith(_COUNTER) else line

    def changed(self: Metrics, **options: Any) -> MetricsPage:  # noqa: ANN401  # handed on
        shown = page(self, **options)
        if scrapes_only and not options["is_scrape"]:
            return shown
        return replace(shown, body=b"\n".join(map(shown_as, shown.body.split(b"\n"))))

    Metrics.page = changed  # type: ignore[method-assign]  # the broken variant


def _clears_every(seconds: str) -> None:
    page, cleared = Metrics.page, [time.monotonic()]

    def changed(self: Metrics, **options: Any) -> MetricsPage:  # noqa: ANN401  # handed on
        if time.monotonic() - cleared[0] > float(seconds):
            cleared[0] = time.monotonic()
            for series in self._ingested.values():
                series.value = 0
        return page(self, **options)

    Metrics.page = changed  # type: ignore[method-assign]  # the broken variant


VARIANTS: Final[dict[str, Callable[..., None]]] = {
    "freezes-page": _freezes_page,
    "wraps-at": lambda size: _shows(lambda value: value % int(size)),
    "halves-for-scrapes": lambda: _shows(lambda value: value // 2, scrapes_only=True),
    "clears-every": _clears_every,
}
