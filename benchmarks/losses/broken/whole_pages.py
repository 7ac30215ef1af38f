"""What a proxy before the sink's page makes of all its lines together; broken/page.py is the proxy."""

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

Page = Callable[[list[str]], list[str]]

_COUNTER: Final = "crm_events_ingested_total{"
_TWO_LABELS: Final = re.compile(r'\{(tenant_id=".*"),(topic="[^"]*")\}')


def _counters(lines: list[str]) -> dict[str, float]:
    """Return name and labels of each series of the counter, and its value."""
    split = (line.rpartition(" ") for line in lines if line.startswith(_COUNTER))
    return {series: float(value) for series, _, value in split}


def _with_counters(lines: list[str], counters: dict[str, float]) -> list[str]:
    """Return the page with these series in place of the counter's."""
    first = next((n for n, line in enumerate(lines) if line.startswith(_COUNTER)), len(lines))
    rest = [line for line in lines[first:] if not line.startswith(_COUNTER)]
    return [*lines[:first], *(f"{series} {value:g}" for series, value in counters.items()), *rest]


def _without_tenants(lines: list[str]) -> list[str]:
    """Add the tenants of each topic up, for one tenant `all`."""
    sums: Counter[str] = Counter()
    for series, value in _counters(lines).items():
        topic = series.partition('topic="')[2].partition('"')[0]
        sums[f'{_COUNTER}tenant_id="all",topic="{topic}"}}'] += int(value)
    return _with_counters(lines, dict(sums))


def _what_came_since() -> Page:
    """Serve of each series what it has grown since the page before."""
    before: dict[str, float] = {}

    def changed(lines: list[str]) -> list[str]:
        now = _counters(lines)
        grown = {series: value - before.get(series, 0) for series, value in now.items()}
        before.update(now)
        return _with_counters(lines, grown)

    return changed


def _stamped_once() -> Page:
    """Give all samples the time of the first page, for ever."""
    stamp = int(time.time() * 1000)
    return lambda lines: [line if line.startswith("#") else f"{line} {stamp}" for line in lines]


def _as_floats(lines: list[str]) -> list[str]:
    split = (line.rpartition(" ") if line.startswith(_COUNTER) else ("", "", line) for line in lines)
    return [f"{series} {float(value):e}" if series else value for series, _, value in split]


def _learned() -> Page:
    """Serve the series of the counter that were on the first page, and no other."""
    known: set[str] = set()

    def changed(lines: list[str]) -> list[str]:
        now = _counters(lines)
        known.update(() if known else now)
        return _with_counters(lines, {series: value for series, value in now.items() if series in known})

    return changed


def _twice(lines: list[str]) -> list[str]:
    """Serve each sample of the counter twice, as it is."""
    return [text for line in lines for text in ([line, line] if line.startswith(_COUNTER) else [line])]


def _topic_first(lines: list[str]) -> list[str]:
    return [_TWO_LABELS.sub(r"{\2,\1}", line) for line in lines]


def _roomy(lines: list[str]) -> list[str]:
    """Serve empty lines between the families, and spaces between the labels."""
    spaced = [_TWO_LABELS.sub(r"{ \1 , \2 }", line) for line in lines]
    return [text for line in spaced for text in (["", line] if line.startswith("# HELP") else [line])]


def _held(mark: str) -> Page:
    """Serve each series of the counter that has the mark with the value that it had first, for ever."""
    first: dict[str, float] = {}

    def changed(lines: list[str]) -> list[str]:
        now = _counters(lines)
        for series, value in now.items():
            if mark in series:
                now[series] = first.setdefault(series, value)
        return _with_counters(lines, now)

    return changed


def _with_commas(lines: list[str]) -> list[str]:
    """Serve a comma behind the last label, as the library for Java did."""
    return [_TWO_LABELS.sub(r"{\1,\2,}", line) for line in lines]


def _with_created(lines: list[str]) -> list[str]:
    """Serve the time of the creation of each series too, as prometheus_client does."""
    name, now = _COUNTER.replace("_total{", "_created"), int(time.time())
    series = [line.partition("{")[2].rpartition(" ")[0] for line in lines if line.startswith(_COUNTER)]
    return [*lines, f"# TYPE {name} gauge", *(f"{name}{{{labels} {now}" for labels in series)]


VARIANTS: Final[dict[str, Callable[..., Page]]] = {
    "first-lines": lambda many: lambda lines: lines[: int(many)],
    "adds-tenants-up": lambda: _without_tenants,
    "what-came-since": _what_came_since,
    "stamps-once": _stamped_once,
    "floats": lambda: _as_floats,
    "learned": _learned,
    "twice": lambda: _twice,
    "topic-first": lambda: _topic_first,
    "roomy": lambda: _roomy,
    "holds": _held,
    "commas": lambda: _with_commas,
    "adds-created": lambda: _with_created,
}
