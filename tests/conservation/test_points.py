"""Grafana must return each point that Prometheus answers, and no other."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runbook.conservation.boundary import Boundary
from runbook.conservation.points import prometheus_to_grafana
from runbook.systems.grafana.client import Frame
from runbook.systems.prometheus.records import Series

LEADS, JOBS = "apexflow.leads.created", "apexflow.jobs.created"
AT = datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)


def test_grafana_returns_what_prometheus_answers_point_by_point() -> None:
    times = tuple(AT + timedelta(seconds=second) for second in range(4))
    labels = {"topic": LEADS}
    asked = [Series(labels=labels, samples=tuple(zip(times, (0.1, 0.2, 0.3, 0.4), strict=True)))]

    def shown(*values: float | None, of: Mapping[str, str] = labels) -> Frame:
        return Frame(ref_id="A", name="", labels=of, times=times, values=values)

    def told(*frames: Frame) -> str:
        return Boundary(name="x", flows=prometheus_to_grafana(asked, frames)).told()

    assert told(shown(0.1, 0.2, 0.3, 0.4)) == "4 in, 4 out"
    assert told(shown(0.1, 0.2, None, 0.5)) == "4 in, 2 out, 2 missing"
    assert told() == "4 in, 0 out, 4 missing"
    assert told(shown(0.1, 0.2, 0.3, 0.4, of={"topic": JOBS})) == "4 in, 4 out, 4 missing, 4 too many"


def test_points_that_change_while_both_are_asked_are_not_compared() -> None:
    def series(*values: float) -> list[Series]:
        times = [AT + timedelta(seconds=number) for number in range(len(values))]
        return [Series(labels={"topic": LEADS}, samples=tuple(zip(times, values, strict=True)))]

    shown = [Frame(ref_id="A", name="", labels={"topic": LEADS}, times=(AT,), values=(1.0,))]
    more = replace(shown[0], times=(AT, AT + timedelta(seconds=1)), values=(1.0, 5.0))
    assert not any(one.difference for one in prometheus_to_grafana(series(1.0), [more], again=series(1.0, 5.0)))
    assert not any(one.difference for one in prometheus_to_grafana(series(1.0, 2.0), shown, again=series(1.0, 5.0)))
    assert [one.difference for one in prometheus_to_grafana(series(1.0, 5.0), shown, again=series(1.0, 5.0))] == [-1]
    assert sum(one.difference for one in prometheus_to_grafana(series(1.0), [more], again=series(1.0))) == 1


def test_of_equal_tenants_prometheus_may_choose_any() -> None:
    def tenants(**values: float) -> tuple[list[Series], list[Frame]]:
        asked = [Series(labels={"tenant_id": name}, samples=((AT, value),)) for name, value in values.items()]
        frames = [
            Frame(ref_id="A", name="", labels={"tenant_id": name}, times=(AT,), values=(value,))
            for name, value in values.items()
        ]
        return asked, frames

    asked, _ = tenants(a=3.0, b=1.0, c=1.0)
    _, shown = tenants(a=3.0, b=1.0, d=1.0)
    assert not any(one.difference for one in prometheus_to_grafana(asked, shown, at_most=3))
    assert any(one.difference for one in prometheus_to_grafana(asked, shown))
    _, wrong = tenants(a=2.0, b=1.0, d=1.0)
    assert any(one.difference for one in prometheus_to_grafana(asked, wrong, at_most=3))


def test_a_label_more_is_no_other_series_unless_it_splits_one() -> None:
    """Stores of a pair add the name of the replica."""
    asked = [Series(labels={"topic": LEADS}, samples=((AT, 0.4),))]
    replicas = [
        Frame(ref_id="A", name="", labels={"topic": LEADS, "replica": name}, times=(AT,), values=(0.4,))
        for name in "ab"
    ]
    assert [one.difference for one in prometheus_to_grafana(asked, replicas[:1])] == [0]
    assert sum(one.difference for one in prometheus_to_grafana(asked, replicas)) == 1
