"""Queries of panels that are written in another way and mean the same, by the form in which Prometheus writes both."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.prometheus.client import Prometheus


def with_wanted_queries(
    facts: Facts, panels: Iterable[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the panels with the wanted query in the place of one that means the same."""
    queries = {one["id"]: expr for one in wanted for expr in _queries(one)}
    return [_panel(facts, panel, queries.get(panel.get("id"), "")) for panel in panels]


def _panel(facts: Facts, panel: Mapping[str, Any], wanted: str) -> Mapping[str, Any]:
    others = {expr for expr in _queries(panel) if wanted and expr != wanted}
    same = {expr for expr in others if _means_the_same(facts, expr, wanted)}
    if not same:
        return panel
    targets = [{**one, "expr": wanted} if one.get("expr") in same else one for one in panel["targets"]]
    return {**panel, "targets": targets}


def _means_the_same(facts: Facts, expr: str, wanted: str) -> bool:
    def forms(prometheus: Prometheus) -> bool:
        form = prometheus.normal_form(expr)
        return form is not None and form == prometheus.normal_form(wanted)

    with suppress(RunbookError):  # no query at all, or nobody who could say
        return facts.ask_prometheus(forms)
    return False


def _queries(panel: Mapping[str, Any]) -> list[str]:
    targets = panel.get("targets")
    found = [one.get("expr") for one in targets if isinstance(one, Mapping)] if isinstance(targets, list) else []
    return [one for one in found if isinstance(one, str)]
