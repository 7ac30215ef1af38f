"""Prometheus to Grafana: the panels' own queries return through Grafana what Prometheus itself answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from runbook.conservation.arithmetic import prometheus_to_grafana
from runbook.conservation.boundary import Boundary
from runbook.diagnosis.boundaries.window import clock_ahead
from runbook.diagnosis.checks import grafana as grafana_hop
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels
from runbook.files.our_panels import present
from runbook.systems.grafana.client import Frame
from runbook.systems.prometheus.records import Series

_NAME: Final = "Prometheus to Grafana"
_PANELS: Final = (20, 21)
_WINDOW: Final = timedelta(minutes=5)
_STEPS: Final = "steps"
_ALWAYS: Final = "vector(1)"
"""Has a value at every step: it tells at which times Grafana asks."""

_STEP_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What Grafana returned, and at which times it asked; none where it returned nothing at all."""

    frames: tuple[Frame, ...]
    times: tuple[datetime, ...]


@Fact
def prometheus_grafana(facts: Facts) -> Boundary:
    """Return the points of panel 20's and 21's queries, put to both with the same start, end and step.

    Samples come while both are asked. So where they differ, both are asked again, and of Prometheus's two answers
    only the points that stayed are held against what Grafana returned between them.
    """
    expressions = _expressions(facts)
    uid = grafana_hop.datasource(facts).uid
    is_due = _has_new_events(facts)

    def look() -> tuple[Boundary, bool]:
        end = (facts.now() + clock_ahead(facts)).replace(microsecond=0)
        shown = _shown(facts, expressions, uid, end)
        asked = _asked(facts, expressions, shown.times, end)
        found = _boundary(asked, shown, end)
        if found.outcome == "failed":
            shown = _shown(facts, expressions, uid, end)
            found = _boundary(asked, shown, end, again=_asked(facts, expressions, shown.times, end))
        return found, found.is_exercised or not is_due

    return facts.until(look)


def _has_new_events(facts: Facts) -> bool:
    """Whether an event is so young that its points may be about to come."""
    try:
        newest = facts.topics().newest.values()
    except RunbookError:
        return False
    return any(at is not None and facts.now() - at < _WINDOW for at in newest)


def _expressions(facts: Facts) -> tuple[str, ...]:
    """Return the panels' expressions; where they have variables, which only a browser fills in, those of setup."""
    served = grafana_hop.dashboard(facts)
    wanted = {one["id"]: one for one in wanted_panels(Datasource()).panels}
    found = present(served.panels if served else (), wanted.values())
    own = (_expression(found.get(number, {})) for number in _PANELS)
    return tuple(
        one if one and "$" not in one else _expression(wanted[number]) for number, one in zip(_PANELS, own, strict=True)
    )


def _expression(panel: Mapping[str, Any]) -> str:
    return next((str(one.get("expr", "")) for one in panel.get("targets", ())), "")


def _shown(facts: Facts, expressions: Sequence[str], uid: str, end: datetime) -> _Shown:
    named = {_STEPS: _ALWAYS} | {f"panel{number}": expr for number, expr in zip(_PANELS, expressions, strict=True)}
    queries = [
        {"refId": name, "expr": expr, "range": True, "instant": False, "format": "time_series"}
        for name, expr in named.items()
    ]
    frames = facts.ask_grafana(lambda one: one.query(queries, datasource_uid=uid, start=end - _WINDOW, end=end))
    times = sorted({at for one in frames if one.ref_id == _STEPS for at in one.times})
    return _Shown(frames=tuple(one for one in frames if one.ref_id != _STEPS), times=tuple(times))


def _asked(facts: Facts, expressions: Sequence[str], times: Sequence[datetime], end: datetime) -> tuple[Series, ...]:
    """Ask Prometheus at the very times at which Grafana has asked it."""
    step_s = min(((b - a).total_seconds() for a, b in pairwise(times)), default=_STEP_S)
    first, last = (times[0], times[-1]) if times else (end - _WINDOW, end)
    return facts.ask_prometheus(
        lambda one: tuple(
            series for expr in expressions for series in one.range(expr, start=first, end=last, step_s=step_s)
        )
    )


def _boundary(
    asked: Sequence[Series], shown: _Shown, end: datetime, *, again: Sequence[Series] | None = None
) -> Boundary:
    return Boundary(
        name=_NAME,
        flows=prometheus_to_grafana(asked, shown.frames, again=again),
        since=end - _WINDOW,
        until=end,
        notes=("points of the queries of panels 20 and 21",),
    )
