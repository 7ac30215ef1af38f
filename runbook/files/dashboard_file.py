"""A dashboard as found: its panels with their place in the text, and every reason to refuse the file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from runbook.errors import DocumentError
from runbook.files import json_text
from runbook.files.text import Text
from runbook.wording import pasteable

_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
RESTORE = "restore the dashboard from version control or a backup"


class Box(NamedTuple):
    """A panel's place on Grafana's 24-column grid; y grows downward."""

    x: int
    y: int
    w: int
    h: int

    @property
    def bottom(self) -> int:
        """First row below the panel."""
        return self.y + self.h

    def overlaps(self, other: "Box") -> bool:
        """Whether two panels share a cell."""
        beside = self.x + self.w <= other.x or other.x + other.w <= self.x
        return not beside and self.y < other.bottom and other.y < self.bottom


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One item of `panels[]`: its position in the list, its plain value, and where its text begins and ends."""

    index: int
    fields: dict[str, Any]
    start: int
    end: int

    @property
    def id(self) -> int | None:
        """Grafana's number of the panel; it numbers those without one itself."""
        return panel_id(self.fields)

    @property
    def title(self) -> str:
        """Title as written, empty if there is none."""
        return str(self.fields.get("title", ""))

    @property
    def name(self) -> str:
        """How to speak of it: its title, else its id."""
        return repr(self.title) if self.title else f"panel {self.id}"

    @property
    def box(self) -> Box | None:
        """Place on the grid; None if it is missing or not made of whole numbers."""
        grid = self.fields.get("gridPos")
        sides = [_whole(grid.get(side)) for side in Box._fields] if isinstance(grid, dict) else []
        whole = [side for side in sides if side is not None]
        return Box(*whole) if len(whole) == len(Box._fields) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """The top-level panels in file order, and the fields of those hidden in rows with the row that holds them."""

    text: Text
    panels: tuple[Panel, ...]
    in_rows: tuple[tuple[dict[str, Any], Panel], ...]
    templating: object = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Every id in use, inside rows too."""
        found = [panel.id for panel in self.panels] + [panel_id(hidden) for hidden, _ in self.in_rows]
        return tuple(number for number in found if number is not None)

    def holder(self, number: int) -> tuple[Panel, str]:
        """Where an id that is in use is: the panel, or the row that hides it; and that panel's title."""
        inside = ((row, str(hidden.get("title", ""))) for hidden, row in self.in_rows if panel_id(hidden) == number)
        return next(chain(((panel, panel.title) for panel in self.panels if panel.id == number), inside))

    def hidden(self, number: object, row: Panel) -> DocumentError:
        """The refusal of a panel that is needed and lies inside a row."""
        return self.text.refusal(
            f"panel {number} is inside the row {row.title!r}",
            offset=row.start,
            fix="move it out of the row in Grafana, export the dashboard, then run the command again",
        )

    def only(self, number: int) -> Panel | None:
        """The panel of that id; raises DocumentError if it is there twice or inside a row."""
        for hidden, row in self.in_rows:
            if panel_id(hidden) == number:
                raise self.hidden(number, row)
        found = [panel for panel in self.panels if panel.id == number]
        if len(found) > 1:
            raise self.text.refusal(
                f"panel {number} is there {len(found)} times",
                offset=found[1].start,
                fix="give the panel at that line an id of its own",
            )
        return found[0] if found else None


def dashboard_file(text: Text) -> Dashboard:
    """Find the panels of a dashboard; raises DocumentError for everything that is no classic dashboard."""
    top = _top(text)
    array = json_text.member(text.body, json_text.root(text.body), "panels")
    if array is None or not isinstance(top["panels"], list):
        seen = "no panels[]" if array is None else "`panels` is not a list"
        raise text.refusal(seen, fix="give the dashboard's own file: its JSON has panels[] on the top level")
    spans = enumerate(json_text.items(text.body, array.start))
    panels = tuple(_panel(text, index, start, end) for index, (start, end) in spans)
    in_rows = tuple((hidden, row) for row in panels for hidden in _hidden(row))
    variables = json_text.member(text.body, json_text.root(text.body), "templating")
    templating = json_text.value_at(text.body, variables.start, variables.end) if variables else None
    return Dashboard(text=text, panels=panels, in_rows=in_rows, templating=templating)


def _top(text: Text) -> dict[str, Any]:
    """Members of the dashboard; what Grafana's file provisioning does not take is told apart by its keys."""
    top = json_text.meaning(text)
    if not isinstance(top, tuple):
        kind = "a list" if isinstance(top, list) else "a single value"
        raise text.refusal(f"the JSON is {kind}, not a dashboard", fix=RESTORE)
    keys = dict(top)
    for seen, fix in _other_formats(keys, pasteable(text.path)):
        raise text.refusal(seen, fix=fix)
    return keys


def _other_formats(keys: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """What a file is that holds a dashboard in another form, and how it becomes a classic one."""
    spec, inner = (dict(_pairs(keys.get(key))) for key in ("spec", "dashboard"))
    version = str(keys.get("apiVersion", ""))
    if "elements" in keys or "elements" in spec or "/v2" in version:
        yield (
            "a dashboard of schema v2 (apiVersion, elements): Grafana's file provisioning does not take it",
            "export the dashboard as classic JSON (v1) and run the command again",
        )
    elif version:
        yield (
            f"a resource ({version}), as Grafana's newer export writes it: the dashboard is in its `spec`",
            f"save what is in `spec` as the file (jq .spec {path}), or export the dashboard as classic JSON",
        )
    elif "panels" not in keys and ("panels" in inner or "rows" in inner):
        yield (
            "an answer of Grafana's API: the dashboard is in its `dashboard`, beside `meta`",
            f"save what is in `dashboard` as the file (jq .dashboard {path})",
        )
    elif "panels" not in keys and isinstance(keys.get("rows"), list):
        yield (
            "a dashboard with `rows` and without panels[], the format before Grafana 5",
            "import it into Grafana, save it there, and export it: Grafana converts it",
        )


def _pairs(value: object) -> tuple[tuple[str, Any], ...]:
    """The members of an object; nothing for any other value."""
    return value if isinstance(value, tuple) else ()


def _panel(text: Text, index: int, start: int, end: int) -> Panel:
    fields = json_text.value_at(text.body, start, end)
    if not isinstance(fields, dict):
        raise text.refusal("an item of panels[] is not a panel", offset=start, fix=RESTORE)
    return Panel(index=index, fields=fields, start=start, end=end)


def _hidden(row: Panel) -> list[dict[str, Any]]:
    """Fields of the panels that a collapsed row holds."""
    nested = row.fields.get("panels")
    return [panel for panel in nested if isinstance(panel, dict)] if isinstance(nested, list) else []


def panel_id(fields: Mapping[str, Any]) -> int | None:
    """The id of a panel, a whole number that may be written as a string; None if it has none."""
    number = fields.get("id")
    if isinstance(number, str) and _ID.fullmatch(number):
        return int(number)
    return _whole(number)


def _whole(number: object) -> int | None:
    """A whole number however it is written: 49, 49.0 and 4.9e1 are one to Grafana; else None."""
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number if isinstance(number, int) and not isinstance(number, bool) else None
