"""A panel's query that means the same is no drift; one that means something else, or nothing, is."""

from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from runbook.diagnosis.same_queries import with_wanted_queries
from runbook.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.diagnosis.facts import Facts
    from runbook.systems.prometheus.client import Prometheus

T = TypeVar("T")

WANTED = "sum by (topic) (rate(x[5m]))"
FORMS = {WANTED: WANTED, "sum(rate(x[300s])) by (topic)": WANTED, "sum(rate(y[5m]))": "sum(rate(y[5m]))"}


class Forms:
    """Plays Prometheus, which writes known expressions in its own way."""

    def __init__(self, *, knows: bool = True) -> None:
        self.knows = knows
        self.asked: list[str] = []

    def ask_prometheus(self, work: "Callable[[Prometheus], T]") -> T:
        return work(cast("Prometheus", self))

    def normal_form(self, expr: str) -> str | None:
        self.asked.append(expr)
        if expr not in FORMS:
            raise AnswerError("parse error", where="GET /api/v1/format_query", fix="look", status=400)
        return FORMS[expr] if self.knows else None


def queries(expr: object, forms: Forms) -> list[Any]:
    panels: list[dict[str, Any]] = [{"id": 20, "targets": [{"expr": expr, "refId": "A"}]}, {"id": 3, "targets": None}]
    found = with_wanted_queries(cast("Facts", forms), panels, [{"id": 20, "targets": [{"expr": WANTED}]}])
    assert found[1] == panels[1]
    return [one["expr"] for one in found[0]["targets"]]


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("sum(rate(x[300s])) by (topic)", WANTED),
        ("sum(rate(y[5m]))", "sum(rate(y[5m]))"),
        ("( (sum by (topic) (rate(x[5m]))) )", WANTED),
        ('sum by (topic) (rate({__name__="x"}[5m]))', WANTED),
        ("(rate(y[5m])) + (rate(x[5m]))", "(rate(y[5m])) + (rate(x[5m]))"),
        ("rate(", "rate("),
        (None, None),
    ],
    ids=["the same", "another", "in parentheses", "by __name__", "two in parentheses", "none at all", "no text"],
)
def test_only_what_means_the_same_is_taken_for_the_wanted_query(expr: object, expected: object) -> None:
    assert queries(expr, Forms()) == [expected]


def test_nobody_is_asked_about_the_wanted_query_itself() -> None:
    forms = Forms()
    assert (queries(WANTED, forms), forms.asked) == ([WANTED], [])


def test_an_old_prometheus_cannot_say() -> None:
    assert queries("sum(rate(x[300s])) by (topic)", Forms(knows=False)) == ["sum(rate(x[300s])) by (topic)"]
