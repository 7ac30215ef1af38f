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


def _wraps_at(size: str) -> None:
    page = Metrics.page

    def wrapped(line: bytes) -> bytes:
        head, _, value = line.rpartition(b" ")
        return b"%s %d" % (head, int(float(value)) % int(size)) if line.startswith(_COUNTER) else line

    def changed(self: Metrics, **options: Any) -> MetricsPage:  # noqa: ANN401  # handed on
        shown = page(self, **options)
        return replace(shown, body=b"\n".join(map(wrapped, shown.body.split(b"\n"))))

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
    "wraps-at": _wraps_at,
    "clears-every": _clears_every,
}
