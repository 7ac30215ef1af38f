"""The panels and rules that the runbook wants, as data files beside this module."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from runbook.files.compare import Datasource
from runbook.files.wanted_rule import WantedRule


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPanels:
    """Panels 20 and 21 in file order, and the datasource that they and their equals lead to."""

    panels: tuple[dict[str, Any], ...]
    datasource: Datasource


def wanted_panels(datasource: Datasource, *, verbatim: bool = False) -> WantedPanels:
    """The corrected panels, reading from `datasource`; or the runbook's, letter by letter, with its bare name."""
    panels = json.loads(_text("panels_verbatim.json" if verbatim else "panels_corrected.json"))
    if not verbatim:
        panels = [{**panel, "datasource": datasource.reference} for panel in panels]
    return WantedPanels(panels=tuple(panels), datasource=datasource)


def wanted_rules(*, with_absent_alert: bool = False) -> tuple[WantedRule, ...]:
    """The runbook's alert; on request also the one for a target that has vanished, beside it, never instead."""
    names = ["rule_sink_down.yml", *(["rule_sink_absent.yml"] if with_absent_alert else [])]
    return tuple(WantedRule(text=_text(name)) for name in names)


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")
