"""Dashboards as they are found in the field, made from a seed, with the place of every panel in the text.

They are written by a printer of their own that notes where it is, so that a judge need not trust the editor's scanner.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels

BOM = b"\xef\xbb\xbf"
WANTED = wanted_panels(Datasource(uid="u1"))
TEXTS = [
    "Lag 🔥",
    "a\tb\\c",
    'say "y": 49 }]',
    "Ünïcode\u2028line\x85",
    "日本",
    '{"id": 20}',
    "👩‍👩‍👧",
    "",
    "/slash/",
    "\x7f",
]
Pairs = list[tuple[str, Any]]


@dataclass(kw_only=True)
class Spot:
    """Where a top-level panel is in the text, where the digits of its y are, and what it says."""

    start: int
    fields: dict[str, Any]
    end: int = 0
    y: tuple[int, int] | None = None


@dataclass(kw_only=True)
class FoundDashboard:
    """A file, what must become of it, and where its panels are (counted in characters behind the mark)."""

    raw: bytes
    expected: str
    options: dict[str, bool]
    spots: list[Spot] = field(default_factory=list)

    @property
    def body(self) -> str:
        """The text without the byte order mark."""
        return self.raw.removeprefix(BOM).decode()


class Number(str):
    """A number with its spelling."""

    __slots__ = ()


def found_dashboard(seed: int) -> FoundDashboard:
    """The dashboard of a seed; every kind of trouble is there often enough in some hundreds of them."""
    chance = Random(seed)  # noqa: S311 - no secret
    panels, expected, options = _situation(chance)
    top: Pairs = [("uid", "crm"), ("title", chance.choice(TEXTS)), ("schemaVersion", 36), ("tags", ["a", "🔥"])]
    top += [("time", [("from", "now-1h")]), ("version", Number(chance.choice(["1", "-0", "1e3", "12E+2", "0.10"])))]
    if chance.random() < 0.3:
        top.insert(0, ("panels", chance.choice([[], [[("id", 19)]], None])))  # repeated: only the last one counts
    top.insert(chance.randint(1, len(top)), ("panels", _Panels(panels)))
    printer = _Printer(chance)
    text = printer.printed(top)
    raw = (BOM if chance.random() < 0.3 else b"") + text.encode()
    return FoundDashboard(raw=raw, expected=expected, options=options, spots=printer.spots)


class _Panels(list[Pairs]):
    """The list of panels that counts."""


def _situation(chance: Random) -> tuple[list[Pairs], str, dict[str, bool]]:
    """Panels, what must become of the file, and the options to plan with."""
    size = chance.choice([0, 1, 2, 5, 5, 10, 20, 20, 40]) if chance.random() < 0.98 else chance.choice([200, 500, 2000])
    panels = _others(chance, size)
    anchor = next((n for n, pairs in enumerate(panels) if chance.random() < 0.2 and _is_plain(pairs)), None)
    if anchor is None:
        panels.append([("type", "stat"), ("title", "Skew"), ("gridPos", _grid(6, _bottom(panels), 6, 4))])
        anchor = len(panels) - 1
    panels[anchor] = [("id", 19), *(pair for pair in panels[anchor] if pair[0] != "id")]
    kind = chance.choice(list(SITUATIONS))
    expected, options = SITUATIONS[kind](chance, panels, anchor)
    return [_in_any_order(chance, pairs) for pairs in panels], expected, options


def _others(chance: Random, size: int) -> list[Pairs]:
    """Panels of all kinds, packed row by row as Grafana packs them."""
    panels: list[Pairs] = []
    y = 0
    while len(panels) < size:
        height = chance.choice([1, 4, 6, 8, 8, 9])
        widths = chance.choice([[24], [12, 12], [6, 6, 6, 6], [8, 16], [6, 10]])
        x = 0
        for width in widths:
            panels.append(_other(chance, 100 + len(panels), _grid(x, y, width, height)))
            x += width
        y += height + chance.choice([0, 0, 0, 3])
    if chance.random() < 0.2:
        chance.shuffle(panels)
    return panels


def _other(chance: Random, panel_id: int, grid: Pairs) -> Pairs:
    kind = chance.choice(["plain", "plain", "plain", "row", "library", "alerts", "odd", "no id", "no place", "tall"])
    pairs: Pairs = [("id", panel_id), ("type", "timeseries"), ("title", chance.choice(TEXTS)), ("gridPos", grid)]
    pairs.append(("targets", [[("expr", f"rate(x{panel_id}[5m])"), ("refId", "A")]]))
    if kind == "row":
        nested = [[("id", 20000 + panel_id), ("gridPos", _grid(0, int(dict(grid)["y"]) + 1, 24, 8)), ("title", "in")]]
        pairs = [("id", panel_id), ("type", "row"), ("collapsed", True), ("panels", nested)]
        pairs += [("gridPos", [("h", 1), ("w", 24), ("x", 0), ("y", dict(grid)["y"])])]
    elif kind == "library":
        pairs = [("id", panel_id), ("gridPos", grid), ("libraryPanel", [("uid", "lib"), ("name", "🔥")])]
    elif kind == "alerts":
        pairs[1:3] = [("type", chance.choice(["alert-list", "alertlist"])), ("title", "Active Alerts")]
    elif kind == "odd":
        pairs[3] = ("gridPos", [(key, _odd(chance, value)) for key, value in grid])
        pairs.insert(0, ("gridPos", [("y", 49)]))  # repeated: only the last one counts
    elif kind == "no id":
        del pairs[0]
    elif kind == "no place":
        pairs[3] = ("gridPos", chance.choice([None, [("x", 0)], [("x", 0), ("y", Number("49.5")), ("w", 1), ("h", 1)]]))
    elif kind == "tall":
        pairs.append(("options", [("y", 49), ("gridPos", [("y", 1)]), ("deep", [[[[]]], {}, ""])]))
    return pairs


def _is_plain(pairs: Pairs) -> bool:
    return dict(pairs).get("type") == "timeseries" and _box(dict(pairs)) is not None


def _grid(x: int, y: int, w: int, h: int) -> Pairs:
    return [("x", x), ("y", y), ("w", w), ("h", h)]


def _odd(chance: Random, value: int) -> Number:
    """A whole number in another spelling that Grafana reads as the same."""
    spellings = [f"{value}", f"{value}.0", f"{value}e0", f"{value / 10}e1" if value % 10 else f"{value // 10}E+1"]
    return Number(chance.choice([*spellings, "-0"] if value == 0 else spellings))


def _box(fields: dict[str, Any]) -> tuple[int, int, int, int] | None:
    """Place of a panel, or None where Grafana has to find one."""
    grid = fields.get("gridPos")
    found = [float(dict(grid).get(side, "nan")) for side in "xywh"] if isinstance(grid, list) else []
    if len(found) == 4 and all(side == side and side.is_integer() for side in found):  # noqa: PLR0124 - nan
        x, y, w, h = map(int, found)
        return x, y, w, h
    return None


def _bottom(panels: list[Pairs]) -> int:
    return max((box[1] + box[3] for pairs in panels if (box := _box(dict(pairs)))), default=0)


def _in_any_order(chance: Random, pairs: Pairs) -> Pairs:
    """Another order of keys, but repeated ones in theirs."""
    if chance.random() < 0.7 or len({key for key, _ in pairs}) < len(pairs):
        return pairs
    return chance.sample(pairs, len(pairs))


def _ours(number: int, *, y: int, panel_id: int | None = None, **changed: object) -> Pairs:
    wanted = WANTED.panels[number]
    fields = {**wanted, "gridPos": {**wanted["gridPos"], "y": y}, "id": panel_id or wanted["id"], **changed}
    return list(_pairs(fields))


def _pairs(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return [(key, _pairs(one)) for key, one in value.items()]
    return _Items(_pairs(one) for one in value) if isinstance(value, list) else value


class _Items(list[Any]):
    """A list; plain lists of pairs are objects."""


Situation = Callable[[Random, list[Pairs], int], tuple[str, dict[str, bool]]]


def _before(_chance: Random, _panels: list[Pairs], _anchor: int) -> tuple[str, dict[str, bool]]:
    return "applied", {}


def _both_there(_chance: Random, panels: list[Pairs], anchor: int) -> tuple[str, dict[str, bool]]:
    y = _bottom(panels)
    panels[anchor + 1 : anchor + 1] = [_ours(0, y=y), _ours(1, y=y, datasource="Prometheus")]
    return "unchanged", {}


def _half_there(chance: Random, panels: list[Pairs], anchor: int) -> tuple[str, dict[str, bool]]:
    number = chance.choice([0, 1])
    panels.insert(anchor + 1, _ours(number, y=_bottom(panels)))
    return "applied", {}


def _other_form(_chance: Random, panels: list[Pairs], _anchor: int) -> tuple[str, dict[str, bool]]:
    y, [target] = _bottom(panels), WANTED.panels[1]["targets"]
    panels += [_ours(0, y=y, fieldConfig={}, extra=[1], datasource={"type": "loki", "uid": "L"})]
    panels += [_ours(1, y=y, options={"showHeader": False}, targets=[{**target, "format": "heatmap"}])]
    return "applied", {}


def _chosen(_chance: Random, panels: list[Pairs], _anchor: int) -> tuple[str, dict[str, bool]]:
    """Somebody's own colours and footer, which the success criteria do not speak of."""
    y = _bottom(panels)
    panels += [_ours(0, y=y, fieldConfig={}, extra=[1]), _ours(1, y=y, options={"showHeader": False})]
    return "unchanged", {}


def _under_other_ids(_chance: Random, panels: list[Pairs], _anchor: int) -> tuple[str, dict[str, bool]]:
    y = _bottom(panels)
    panels += [_ours(0, y=y, panel_id=70001), _ours(1, y=y, panel_id=70002)]
    return "unchanged", {}


def _taken(_chance: Random, panels: list[Pairs], _anchor: int) -> tuple[str, dict[str, bool]]:
    panels.append([("id", 20), ("title", "Mine"), ("gridPos", _grid(0, _bottom(panels), 24, 3))])
    return "conflict", {}


def _renumbered(chance: Random, panels: list[Pairs], anchor: int) -> tuple[str, dict[str, bool]]:
    _taken(chance, panels, anchor)
    return "applied", {"renumber": True}


def _no_anchor(_chance: Random, panels: list[Pairs], anchor: int) -> tuple[str, dict[str, bool]]:
    panels[anchor] = [("id", 18), *panels[anchor][1:]]
    return "refused", {}


def _twice(_chance: Random, panels: list[Pairs], _anchor: int) -> tuple[str, dict[str, bool]]:
    panels.append([("id", 19)])
    return "conflict", {}


def _in_row(_chance: Random, panels: list[Pairs], anchor: int) -> tuple[str, dict[str, bool]]:
    panels[anchor] = [("type", "row"), ("id", 1), ("panels", _Items([panels[anchor]]))]
    return "conflict", {}


SITUATIONS: dict[str, Situation] = {
    "before": _before,
    "before again": _before,
    "before once more": _before,
    "both there": _both_there,
    "half there": _half_there,
    "other form": _other_form,
    "chosen": _chosen,
    "under other ids": _under_other_ids,
    "taken": _taken,
    "renumbered": _renumbered,
    "no anchor": _no_anchor,
    "twice": _twice,
    "in a row": _in_row,
}


class _Printer:
    """Writes JSON as a file of the field has it, and notes where panels and the digits of their y are."""

    def __init__(self, chance: Random) -> None:
        self.spots: list[Spot] = []
        self._chance = chance
        self._indent = chance.choice([None, None, "", " ", "  ", "  ", "   ", "    ", "    ", " " * 8, "\t"])
        self._newlines = chance.choice([["\n"], ["\n"], ["\r\n"], ["\n", "\r\n"]])
        self._trailing = chance.random() < 0.1
        self._colon = chance.choice([":", ": ", ": ", " : ", "\t:"])
        self._comma = "," if self._indent is not None else chance.choice([",", ", "])
        self._escapes = chance.choice([0.0, 0.0, 0.3, 1.0])
        self._inline = chance.choice([0.0, 0.0, 0.5])
        self._pieces: list[str] = []
        self._length = 0
        self._path: list[str] = []

    def printed(self, top: Pairs) -> str:
        self._value(top, 0, inline=False)
        self._put(self._chance.choice(["", "\n", "\n", "\r\n", "  \n\n"]))
        return "".join(self._pieces)

    def _put(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)

    def _value(self, value: Any, depth: int, *, inline: bool) -> None:  # noqa: ANN401 - any JSON value
        if isinstance(value, _Panels):
            self._sequence("[]", value, depth, self._panel, inline=inline)
        elif _is_object(value):
            self._sequence("{}", value, depth, self._member, inline=inline)
        elif isinstance(value, list):
            self._sequence("[]", value, depth, self._value, inline=inline)
        elif isinstance(value, dict):
            self._put("{ }" if self._chance.random() < 0.1 else "{}")
        elif isinstance(value, Number):
            self._put(str(value))
        elif isinstance(value, str):
            self._put(self._string(value))
        else:
            self._put(json.dumps(value))

    def _sequence(
        self, brackets: str, items: list[Any], depth: int, write: Callable[..., None], *, inline: bool
    ) -> None:
        inline = inline or self._indent is None or (depth > 1 and self._chance.random() < self._inline)
        self._put(brackets[0])
        for number, item in enumerate(items):
            self._put((self._comma if self._indent is None or not inline else ", ") if number else "")
            self._break(depth + 1, inline=inline)
            write(item, depth + 1, inline=inline)
        self._break(depth, inline=inline or not items)
        self._put(brackets[1])

    def _break(self, depth: int, *, inline: bool) -> None:
        if not inline and self._indent is not None:
            trail = self._chance.choice(["", " ", "\t"]) if self._trailing else ""
            self._put(trail + self._chance.choice(self._newlines) + self._indent * depth)

    def _member(self, pair: tuple[str, Any], depth: int, *, inline: bool) -> None:
        self._put(self._string(pair[0]) + self._colon)
        start = self._length
        self._path.append(pair[0])
        self._value(pair[1], depth, inline=inline)
        if self._path == ["panels", "gridPos", "y"] and self.spots:
            self.spots[-1].y = (start, self._length)
        self._path.pop()

    def _panel(self, pairs: Pairs, depth: int, *, inline: bool) -> None:
        fields = _plain(pairs)
        self.spots.append(Spot(start=self._length, fields=fields))
        self._value(pairs, depth, inline=inline)
        self.spots[-1].end = self._length
        if _box(dict(pairs)) is None:
            self.spots[-1].y = None

    def _string(self, text: str) -> str:
        if self._chance.random() < self._escapes:
            text = json.dumps(text)
            return text.replace("/", "\\/") if self._chance.random() < 0.5 else text
        return json.dumps(text, ensure_ascii=False)


def _is_object(value: object) -> bool:
    """A plain list of pairs is an object."""
    return type(value) is list and all(isinstance(one, tuple) for one in value) and bool(value)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """What a parser makes of it, the last of repeated keys."""
    if _is_object(value):
        return {key: _plain(one) for key, one in value}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return json.loads(value) if isinstance(value, Number) else value
