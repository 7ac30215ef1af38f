"""The panels and rules that the runbook wants, as data files beside this module."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from runbook.files.compare import Datasource
from runbook.files.wanted_rule import WantedRule

Demand = Literal["needed", "fields", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPanels:
    """Panels 20 and 21 in file order, and the datasource that they and their equals lead to.

    `demand` is how much of a panel that is there already must be as wanted: what the success criteria need, every
    field of it, or the panel as a whole with nothing added. `forms` are those that nobody has chosen: a panel in one
    of them becomes the wanted one. `kept` are, by id, the fields in which a file differs and is left.
    """

    panels: tuple[dict[str, Any], ...]
    datasource: Datasource
    demand: Demand = "needed"
    forms: tuple[dict[str, Any], ...] = ()
    kept: Mapping[int, frozenset[str]] = field(default_factory=dict)


def wanted_panels(datasource: Datasource, *, verbatim: bool = False, reset: bool = False) -> WantedPanels:
    """The corrected panels, reading from `datasource`; or the runbook's, letter by letter, with its bare name.

    With `reset` nothing of a panel stays but its id and its place.
    """
    runbooks = tuple(json.loads(_text("panels_verbatim.json")))
    if verbatim:
        return WantedPanels(panels=runbooks, datasource=datasource, demand="whole" if reset else "fields")
    corrected = json.loads(_text("panels_corrected.json"))
    panels = tuple({**panel, "datasource": datasource.reference} for panel in corrected)
    return WantedPanels(panels=panels, datasource=datasource, demand="whole" if reset else "needed", forms=runbooks)


def wanted_rules(*, with_absent_alert: bool = False) -> tuple[WantedRule, ...]:
    """The runbook's alert; on request also the one for a target that has vanished, beside it, never instead."""
    names = ["rule_sink_down.yml", *(["rule_sink_absent.yml"] if with_absent_alert else [])]
    return tuple(WantedRule(text=_text(name)) for name in names)


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")
