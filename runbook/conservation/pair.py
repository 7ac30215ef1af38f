"""Grafana asks another Prometheus of a pair: it scrapes the same sinks at other moments, so only counters can agree.

Rates of the two differ for as long as their window holds a step of the counter.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from runbook.conservation.boundary import Flow
from runbook.names import COUNTER
from runbook.systems.grafana.client import Frame
from runbook.systems.prometheus.records import Series

SCRAPED: Final = f"max by (topic, tenant_id) (timestamp({COUNTER}))"
COUNTED: Final = f"sum by (topic, tenant_id) ({COUNTER})"
_CLOCKS: Final = timedelta(seconds=1)
_DIGITS: Final = (3, 2, 1, 0)
_Key = tuple[str, str]
_Points = Mapping[int, float]
"""Value by Unix time in milliseconds."""

_Values = Mapping[_Key, _Points]
"""By topic and tenant."""


def asked_values(series: Iterable[Series]) -> _Values:
    """Return what Prometheus itself answered."""
    return {_key(one.labels): {_ms(at): value for at, value in one.samples} for one in series}


def shown_values(frames: Iterable[Frame]) -> _Values:
    """Return what Grafana returned."""
    return {
        _key(one.labels): {_ms(at): value for at, value in zip(one.times, one.values, strict=True) if value is not None}
        for one in frames
    }


def is_another(asked: _Values, shown: _Values, *, until: datetime) -> bool:
    """Whether scrapes of the counter, up to `until`, are those of another server, and not its own with fewer digits.

    Servers of one host may scrape in the same millisecond: then a series begins a scrape earlier in one of them.
    """

    def settled(values: _Values, digits: int) -> set[tuple[_Key, int, float]]:
        return {
            (key, at, round(value, digits))
            for key, points in values.items()
            for at, value in points.items()
            if at <= _ms(until)
        }

    theirs = settled(shown, max(_DIGITS))
    return bool(theirs) and all(settled(asked, digits) != theirs for digits in _DIGITS)


def pair_flows(
    asked: Mapping[str, _Values], shown: Mapping[str, _Values], *, interval: timedelta, until: datetime
) -> tuple[Flow, ...]:
    """Return, per topic and tenant, the points of the counter (up to `until`) against those that agree.

    A counter agrees if it lies between those of the server's own scrapes before and after it. Scrapes that are older
    than the server's own by more than two intervals (one federates the other) are a gap, if the newest is as young;
    else somebody is late. `asked` and `shown` are by query.
    """
    margin = round((interval + _CLOCKS).total_seconds() * 1000)
    late_s = (2 * interval + _CLOCKS).total_seconds()
    entered: Counter[_Key] = Counter()
    left: Counter[_Key] = Counter()
    for key in asked[COUNTED].keys() | shown[COUNTED].keys():
        mine, theirs = (each[COUNTED].get(key, {}) for each in (asked, shown))
        scraped, seen = (each[SCRAPED].get(key, {}) for each in (asked, shown))
        own = {scraped[at]: mine[at] for at in sorted(mine.keys() & scraped.keys())}
        apart_s = [abs(seen[at] - scraped[at]) for at in sorted(scraped.keys() & seen.keys()) if at <= _ms(until)]
        is_current = not apart_s or apart_s[-1] <= late_s
        for at in sorted(at for at in mine.keys() | theirs.keys() if at <= _ms(until)):
            if _is_edge(mine, theirs, at, margin):
                continue
            entered[key] += at in mine
            is_in_time = is_current or abs(seen.get(at, 0.0) - scraped.get(at, 0.0)) <= late_s
            left[key] += at in theirs and (
                at not in mine or (is_in_time and _between(own, seen.get(at), theirs[at], margin_s=margin / 1000))
            )
    return tuple(Flow(topic=key[0], tenant_id=key[1], entered=entered[key], left=left[key]) for key in sorted(entered))


def _is_edge(mine: _Points, theirs: _Points, at: int, margin: int) -> bool:
    """Whether one of the two has seen the series appear, or vanish, a scrape before the other."""
    if at in mine and at in theirs:
        return False
    lacking, either = theirs if at in mine else mine, {*mine, *theirs}
    step = min((b - a for a, b in pairwise(sorted(either))), default=margin)
    return any(_leaves(either, lacking, at, way, margin + step) for way in (step, -step))


def _leaves(either: Collection[int], lacking: Collection[int], at: int, step: int, reach: int) -> bool:
    """Whether a walk from `at` over points that only one has comes to a time that both lack."""
    steps = 0
    while at + steps * step in either and at + steps * step not in lacking:
        steps += 1
    return at + steps * step not in either and abs(steps * step) <= reach


def _between(own: Mapping[float, float], at_s: float | None, value: float, *, margin_s: float) -> bool:
    """Whether a counter that was scraped at a time lies between the own scrapes around it, which are by their times.

    It may be the sum of several instances, which are scraped within an interval.
    """
    if at_s is None:
        return False
    before = [held for at, held in own.items() if at <= at_s - margin_s]
    near = [held for at, held in own.items() if abs(at - at_s) < margin_s]
    after = [held for at, held in own.items() if at >= at_s + margin_s]
    around = (*(before[-1:] or [0.0]), *near, *(after[:1] or [max(own.values(), default=0.0)]))
    return min(around) <= value <= max(around)


def _key(labels: Mapping[str, str]) -> _Key:
    return labels.get("topic", ""), labels.get("tenant_id", "")


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
