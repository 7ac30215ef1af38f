"""Prometheus to Grafana: the panels' own queries return through Grafana what Prometheus itself answers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import gcd
from typing import Any, Final

from runbook.conservation.boundary import Boundary, added
from runbook.conservation.pair import COUNTED, SCRAPED, asked_values, is_another, pair_flows, shown_values
from runbook.conservation.points import prometheus_to_grafana
from runbook.diagnosis.boundaries.window import clock_ahead, interval
from runbook.diagnosis.checks import grafana as grafana_hop
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels
from runbook.files.our_panels import present
from runbook.systems.grafana.client import Frame
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Series

_NAME: Final = "Prometheus to Grafana"
_PANELS: Final = (20, 21)
_WINDOW: Final = timedelta(minutes=5)
_TWO: Final = 2
_STEPS: Final = "steps"
_ALWAYS: Final = "vector(1)"
"""Has a value at every step: it tells at which times Grafana asks, where the panels have too few points for that."""

_STEP_MS: Final = 15_000
_MS: Final = timedelta(milliseconds=1)
_TOP: Final = re.compile(r"\s*topk\((\d+),")

_Asked = Mapping[str, Sequence[Series]]
"""What Prometheus answered to each query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """An expression over the window, or at its end alone."""

    expr: str
    instant: bool = False


_Queries = Mapping[str, _Query]
"""By name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What Grafana returned, and at which times it asked; none where it returned nothing at all."""

    frames: tuple[Frame, ...]
    times: tuple[datetime, ...]
    step: timedelta


@Fact
def prometheus_grafana(facts: Facts) -> Boundary:
    """Return the points of panel 20's and 21's queries, put to both with the same start, end and step.

    A query that a panel puts for the end of the time alone is put so, too.
    Samples come while both are asked. So where they differ, both are asked again, and of Prometheus's two answers
    only the points that stayed are held against what Grafana returned between them.
    """
    queries = _queries(facts)
    uid = grafana_hop.datasource(facts).uid
    is_due = _has_new_events(facts)

    def look() -> tuple[Boundary, bool]:
        end = (facts.now() + clock_ahead(facts)).replace(microsecond=0)
        shown = _shown(facts, queries, uid, end)
        asked = _asked(facts, queries, shown, end)
        found = _boundary(queries, asked, shown, end)
        if found.outcome == "failed":
            shown = _shown(facts, queries, uid, end)
            again = _asked(facts, queries, shown, end)
            found = _boundary(queries, asked, shown, end, again=again)
        if found.outcome == "failed":
            found = _of_a_pair(facts, uid, end) or found
        return found, found.is_exercised or not is_due

    return facts.until(look)


def _has_new_events(facts: Facts) -> bool:
    """Whether an event is so young that its points may be about to come."""
    try:
        newest = facts.topics().newest.values()
    except RunbookError:
        return False
    return any(at is not None and facts.now() - at < _WINDOW for at in newest)


def _queries(facts: Facts) -> _Queries:
    """Return the panels' queries; where they have variables, which only a browser fills in, those of setup."""
    served = grafana_hop.dashboard(facts)
    wanted = {one["id"]: one for one in wanted_panels(Datasource()).panels}
    found = present(served.panels if served else (), wanted.values())
    queries: dict[str, _Query] = {}
    for number in _PANELS:
        target = _target(found.get(number, {}))
        expr = str(target.get("expr", ""))
        if not expr or "$" in expr:
            target = _target(wanted[number])
            expr = str(target["expr"])
        queries[f"panel{number}"] = _Query(expr=expr)
        if target.get("instant"):
            queries[f"panel{number}now"] = _Query(expr=expr, instant=True)
    return queries


def _target(panel: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(iter(panel.get("targets", ())), {})


def _shown(facts: Facts, queries: _Queries, uid: str, end: datetime) -> _Shown:
    frames = _returned(facts, queries, uid, end)
    asking = tuple(one for one in frames if one.ref_id in queries and not queries[one.ref_id].instant)
    if len({at for one in frames for at in one.times}) < _TWO:
        asking = _returned(facts, {_STEPS: _Query(expr=_ALWAYS)}, uid, end)
    times = sorted({at for one in asking for at in one.times})
    return _Shown(frames=frames, times=tuple(times), step=_step(asking, times))


def _step(frames: Sequence[Frame], times: Sequence[datetime]) -> timedelta:
    """Return the step with which Grafana asks: else the one that the points have."""
    seen = timedelta(milliseconds=gcd(*(round((b - a) / _MS) for a, b in pairwise(times))) or _STEP_MS)
    told = min((one.step for one in frames if one.step), default=seen)
    return told if not seen % told else seen


def _returned(facts: Facts, queries: _Queries, uid: str, end: datetime) -> tuple[Frame, ...]:
    targets = [
        {"refId": name, "expr": one.expr, "range": not one.instant, "instant": one.instant, "format": "time_series"}
        for name, one in queries.items()
    ]
    return facts.ask_grafana(lambda one: one.query(targets, datasource_uid=uid, start=end - _WINDOW, end=end))


def _asked(facts: Facts, queries: _Queries, shown: _Shown, end: datetime) -> _Asked:
    """Ask Prometheus at the very times at which Grafana asks it, whether it has returned a point for them or not."""
    step = shown.step
    one = shown.times[0] if shown.times else end
    first, last = one - (one - end + _WINDOW) // step * step, one + (end - one) // step * step

    def answer(prometheus: Prometheus, query: _Query) -> Sequence[Series]:
        if query.instant:
            found = prometheus.query(query.expr, at=end)
            return [Series(labels=one.labels, samples=((one.at, one.value),)) for one in found]
        return prometheus.range(query.expr, start=first, end=last, step_s=step.total_seconds())

    return facts.ask_prometheus(lambda one: {name: answer(one, query) for name, query in queries.items()})


def _boundary(
    queries: _Queries, asked: _Asked, shown: _Shown, end: datetime, *, again: _Asked | None = None
) -> Boundary:
    flows = [
        flow
        for name, query in queries.items()
        for flow in prometheus_to_grafana(
            asked[name],
            [one for one in shown.frames if one.ref_id == name],
            again=again[name] if again else None,
            at_most=_at_most(query.expr),
        )
    ]
    notes = ("points of the queries of panels 20 and 21",)
    return Boundary(name=_NAME, flows=added(flows), since=end - _WINDOW, until=end, notes=notes)


def _of_a_pair(facts: Facts, uid: str, end: datetime) -> Boundary | None:
    """Return the counters instead of the rates, where Grafana asks another server than we do; else None."""
    queries = {one: _Query(expr=one) for one in (SCRAPED, COUNTED)}
    shown = _shown(facts, queries, uid, end)
    asked = {name: asked_values(series) for name, series in _asked(facts, queries, shown, end).items()}
    returned = {name: shown_values(one for one in shown.frames if one.ref_id == name) for name in queries}
    every = interval(facts)
    until = end - 2 * every
    if not is_another(asked[SCRAPED], returned[SCRAPED], until=until):
        return None
    flows = pair_flows(asked, returned, interval=every, until=until)
    notes = ("Grafana asks another Prometheus than this tool does: their counters were compared",)
    return Boundary(name=_NAME, flows=flows, since=end - _WINDOW, until=end, notes=notes)


def _at_most(expr: str) -> int | None:
    found = _TOP.match(expr)
    return int(found[1]) if found else None
