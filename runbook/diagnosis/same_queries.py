"""Queries of panels that are written in another way and mean the same, by the form in which Prometheus writes both."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import accumulate
from typing import Any, Final

from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError
from runbook.systems.prometheus.client import Prometheus

_NAME: Final = re.compile(r'\{\s*__name__\s*=\s*"([a-zA-Z_:][a-zA-Z0-9_:]*)"\s*,?\s*([^{}]*)\}')


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
        form = prometheus.normal_form(_plain(expr))
        return form is not None and form == prometheus.normal_form(_plain(wanted))

    with suppress(RunbookError):  # no query at all, or nobody who could say
        return facts.ask_prometheus(forms)
    return False


def _plain(expr: str) -> str:
    """Return an expression without parentheses around it, and each metric by its name in place of the label of it."""
    named = _NAME.sub(lambda found: found[1] + (f"{{{found[2]}}}" if found[2] else ""), expr.strip())
    return _plain(named[1:-1]) if _is_enclosed(named) else named


def _is_enclosed(expr: str) -> bool:
    """Whether the first parenthesis is closed by the last character. An expression with a text in it is left alone."""
    if not expr.startswith("(") or any(quote in expr for quote in "\"'`"):
        return False
    depths = list(accumulate((char == "(") - (char == ")") for char in expr))
    return depths[-1] == 0 and 0 not in depths[:-1]


def _queries(panel: Mapping[str, Any]) -> list[str]:
    targets = panel.get("targets")
    found = [one.get("expr") for one in targets if isinstance(one, Mapping)] if isinstance(targets, list) else []
    return [one for one in found if isinstance(one, str)]
