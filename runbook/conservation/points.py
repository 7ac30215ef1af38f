"""The points that Grafana returns for a query against those of Prometheus, as decisions over facts."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from math import isclose, isfinite

from runbook.conservation.boundary import Flow, flows
from runbook.systems.grafana.client import Frame
from runbook.systems.prometheus.records import Series

EXTRA = "not in Prometheus"


def prometheus_to_grafana(
    asked: Sequence[Series],
    shown: Sequence[Frame],
    *,
    again: Sequence[Series] | None = None,
    at_most: int | None = None,
) -> tuple[Flow, ...]:
    """Return the points of a query as Prometheus answers it against those that Grafana returns, per topic or tenant.

    With `again`, what Prometheus answered after Grafana, the points that differ between its two answers are left out:
    a sample has come meanwhile. `at_most` is the number in `topk(10, ...)`: which of several series with the lowest
    value are among so many is Prometheus's choice, so these are left out, too. A point that Grafana returns and
    Prometheus does not is a flow of its own, of the tenant EXTRA. A label that Grafana alone returns, such as the
    replica of a pair, makes no other series of one.
    """
    points, later = _points(asked), _points(asked if again is None else again)
    returned, twice = _returned(shown, {name for one in (*asked, *(again or ())) for name in one.labels})
    if at_most is not None:
        points, later, returned = (_untied(one, at_most) for one in (points, later, returned))
    entered: Counter[tuple[str, str]] = Counter()
    left: Counter[tuple[str, str]] = Counter()
    for point in points.keys() | later.keys():
        found, value = returned.pop(point, None), points.get(point)
        if value is None or not _is_same(value, later.get(point)):
            continue
        entered[_series_of(point)] += 1
        left[_series_of(point)] += _is_same(value, found)
    for point in (*returned, *twice):
        topic, _ = _series_of(point)
        left[topic, EXTRA] += 1
    return flows(entered, left)


Point = tuple[tuple[tuple[str, str], ...], int]
"""Labels without the name, and the time in milliseconds."""


def _returned(shown: Iterable[Frame], names: Collection[str]) -> tuple[dict[Point, float], list[Point]]:
    """Return the points with these labels only, and those that are there again: a further label has split a series."""
    points: dict[Point, float] = {}
    twice: list[Point] = []
    for one in shown:
        labels = {name: value for name, value in one.labels.items() if name in names or not names}
        found = {
            _point(labels, at): value for at, value in zip(one.times, one.values, strict=True) if value is not None
        }
        twice += found.keys() & points.keys()
        points |= found
    return points, twice


def _points(series: Iterable[Series]) -> dict[Point, float]:
    return {_point(one.labels, at): value for one in series for at, value in one.samples if isfinite(value)}


def _untied(points: Mapping[Point, float], at_most: int) -> dict[Point, float]:
    values: dict[int, list[float]] = {}
    for (_, at), value in points.items():
        values.setdefault(at, []).append(value)
    lowest = {at: min(found) for at, found in values.items() if len(found) >= at_most}
    return {
        point: value
        for point, value in points.items()
        if point[1] not in lowest or not _is_same(value, lowest[point[1]])
    }


def _is_same(value: float, other: float | None) -> bool:
    return other is not None and isclose(value, other, rel_tol=1e-9, abs_tol=1e-12)


def _series_of(point: Point) -> tuple[str, str]:
    labels = dict(point[0])
    return labels.get("topic", ""), labels.get("tenant_id", "")


def _point(labels: Mapping[str, str], at: datetime) -> Point:
    plain = tuple(sorted((name, value) for name, value in labels.items() if name != "__name__"))
    return plain, round(at.timestamp() * 1000)
