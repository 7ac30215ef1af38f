"""Dashboards with panels 20 and 21 as somebody has changed them, made from a seed; and what an operator sees of them.

`shown` is written from the runbook's success criteria and "what to look for": it plays Grafana on a small answer and
says which lines and which rows an operator would see. It knows nothing of the editor's list of fields.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels

Json = Any
BOM = b"\xef\xbb\xbf"
HERE = "u1"
DATASOURCE = Datasource(uid=HERE, aliases=frozenset({"same-address"}))
TOPICS = {"apexflow.leads.created": 0.5, "apexflow.jobs.created": 0.2}
TENANTS = {"acme": 0.4, "globex": 0.3}


@dataclass(kw_only=True)
class SomebodysDashboard:
    """A file, and whether it is written with one member a line, so that its lines can be compared."""

    raw: bytes
    has_lines: bool

    @property
    def panels(self) -> dict[int, dict[str, Json]]:
        """The panels 20 and 21 as they are in the file."""
        return ours(self.raw)


def ours(raw: bytes) -> dict[int, dict[str, Json]]:
    """Panels 20 and 21 of a file by the number of their id, told by their titles."""
    titles = {"CRM Events Ingested (by topic)": 20, "Top Tenants by CRM Events (5m)": 21}
    panels = json.loads(raw.removeprefix(BOM))["panels"]
    return {titles[panel["title"]]: panel for panel in panels if panel.get("title") in titles}


def somebodys_dashboard(seed: int, *, accidents: bool = True) -> SomebodysDashboard:
    """The dashboard of a seed; without accidents it is our form with choices that hide nothing."""
    chance = Random(seed)  # noqa: S311 - no secret
    panels = [_panel(chance, number, accidents=accidents) for number in (0, 1)]
    others = [
        {"id": 19, "title": "Skew", "gridPos": {"x": 6, "y": 45, "w": 6, "h": 4}},
        {"id": 12, "title": "Active Alerts", "type": "alertlist", "gridPos": {"x": 0, "y": 90, "w": 24, "h": 6}},
    ]
    top = {"uid": "crm", "templating": {"list": [_variable(chance)]}, "panels": [others[0], *panels, others[1]]}
    indent = chance.choice([None, 0, 1, 2, 2, 4, "\t"])
    colon = chance.choice([":", ": "])
    text = json.dumps(top, indent=indent, separators=(",", colon), ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.3:
        text = text.replace("\n", "\r\n")
    raw = (BOM if chance.random() < 0.2 else b"") + text.encode() + chance.choice([b"", b"\n"])
    return SomebodysDashboard(raw=raw, has_lines=indent is not None)


def _variable(chance: Random) -> dict[str, Json]:
    """The variable `$ds` for datasources, which stands on ours, on the default, which is ours, or on nothing yet."""
    current = chance.choice([{"value": HERE}, {"value": "Prometheus"}, {"value": "default"}, {}])
    return {"name": "ds", "type": "datasource", "query": "prometheus", "current": current}


def _panel(chance: Random, number: int, *, accidents: bool) -> dict[str, Json]:
    """One of ours as somebody has left it: choices that are theirs, and accidents that hide what it is for."""
    form = wanted_panels(DATASOURCE, verbatim=accidents and chance.random() < 0.5).panels[number]
    panel: dict[str, Json] = json.loads(json.dumps(form))
    panel["gridPos"] = {"x": 12 * number, "y": 70, "w": 12, "h": chance.choice([6, 8, 11])}
    for change in chance.sample(CHOICES[2:] if number == 0 else CHOICES, chance.randint(1, 6)):
        change(chance, panel)
    for accident in chance.sample(
        ACCIDENTS if number == 0 else ACCIDENTS + OF_TABLES, chance.randint(0, 4) if accidents else 0
    ):
        accident(chance, panel)
    keys = list(panel)
    if chance.random() < 0.3:
        chance.shuffle(keys)
    return {key: panel[key] for key in keys}


Change = Callable[[Random, dict[str, Json]], None]


def _defaults(panel: dict[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = panel.setdefault("fieldConfig", {}).setdefault("defaults", {})
    return found


def _organizers(panel: dict[str, Json]) -> list[dict[str, Json]]:
    return [one for one in panel.get("transformations", []) if one["id"] == "organize"]


def _order_of_columns(_: Random, panel: dict[str, Json]) -> None:
    for one in _organizers(panel):
        one["options"]["indexByName"] = {"Value": 0, "tenant_id": 1}


def _sorted_before(_: Random, panel: dict[str, Json]) -> None:
    panel.setdefault("transformations", []).insert(0, {"id": "sortBy", "options": {"sort": [{"field": "Value"}]}})


def _footer(chance: Random, panel: dict[str, Json]) -> None:
    panel.setdefault("options", {})["footer"] = {"show": True, "reducer": [chance.choice(["sum", "mean"])]}


def _color(_: Random, panel: dict[str, Json]) -> None:
    _defaults(panel)["color"] = {"mode": "fixed", "fixedColor": "🔥 red"}


def _thresholds(_: Random, panel: dict[str, Json]) -> None:
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 1e2}]
    _defaults(panel)["thresholds"] = {"mode": "absolute", "steps": steps}


def _alignment(_: Random, panel: dict[str, Json]) -> None:
    _defaults(panel).setdefault("custom", {})["align"] = "right"


def _overrides(_: Random, panel: dict[str, Json]) -> None:
    one = {"matcher": {"id": "byName", "options": "acme"}, "properties": [{"id": "unit", "value": "reqps"}]}
    panel.setdefault("fieldConfig", {})["overrides"] = [one]


def _description(chance: Random, panel: dict[str, Json]) -> None:
    panel["description"] = chance.choice(['"format": "time_series" }]', "ä\u2028\\ 🔥", ""])


def _links(_: Random, panel: dict[str, Json]) -> None:
    panel["links"] = [{"title": "docs", "url": "http://example.org/?id=20"}]


def _own_datasource(chance: Random, panel: dict[str, Json]) -> None:
    """It leads to ours in another way: by another name of it, by a variable, by the query's own reference."""
    here: list[Json] = ["Prometheus", {"uid": HERE}, {"type": "prometheus", "uid": "${ds}"}, "$ds", None]
    here += [{"type": "prometheus", "uid": "same-address"}, {"type": "prometheus"}]
    panel["datasource"] = chance.choice(here)
    if chance.random() < 0.3:
        panel["datasource"] = {"type": "datasource", "uid": "-- Mixed --"}
        panel["targets"][0]["datasource"] = chance.choice(here[:4])


def _second_query(_: Random, panel: dict[str, Json]) -> None:
    panel["targets"].append({"expr": "vector(0)", "refId": "B", "hide": True, "instant": False, "format": "heatmap"})


def _legend(_: Random, panel: dict[str, Json]) -> None:
    panel["targets"][0]["legendFormat"] = "__auto"


def _own_fields(_: Random, panel: dict[str, Json]) -> None:
    panel["x-mine"] = {"format": "none", "deep": [[], {}, {"instant": 7, "id": "20"}], "n": 1.50}


def _interval(_: Random, panel: dict[str, Json]) -> None:
    panel |= {"interval": "30s", "maxDataPoints": 250, "transparent": True}


CHOICES: list[Change] = [
    _order_of_columns, _sorted_before, _footer, _color, _thresholds, _alignment, _overrides, _description, _links,
    _own_datasource, _second_query, _legend, _own_fields, _interval,
]  # fmt: skip


def _wrong_format(chance: Random, panel: dict[str, Json]) -> None:
    panel["targets"][0]["format"] = chance.choice(["heatmap", "table", "time_series", None, ""])


def _no_format(_: Random, panel: dict[str, Json]) -> None:
    panel["targets"][0].pop("format", None)


def _instant(chance: Random, panel: dict[str, Json]) -> None:
    for key in ("instant", "range"):
        panel["targets"][0].pop(key, None)
        if chance.random() < 0.7:
            panel["targets"][0][key] = chance.choice([True, False, None])


def _hidden(_: Random, panel: dict[str, Json]) -> None:
    panel["targets"][0]["hide"] = True


def _elsewhere(chance: Random, panel: dict[str, Json]) -> None:
    there: list[Json] = ["Loki", {"type": "loki", "uid": "L"}, {"type": "prometheus", "uid": "p2"}, "${other}"]
    panel["datasource"] = chance.choice([*there, {"type": "datasource", "uid": "-- Mixed --"}])
    if chance.random() < 0.5:
        panel["targets"][0]["datasource"] = chance.choice(there)


def _other_type(chance: Random, panel: dict[str, Json]) -> None:
    panel["type"] = chance.choice(["barchart", "stat", "text", "graph"])


def _shifted(_: Random, panel: dict[str, Json]) -> None:
    panel["timeShift"] = "1d"


def _id_as_text(_: Random, panel: dict[str, Json]) -> None:
    panel["id"] = "20" if panel["title"].startswith("CRM") else "21"


def _no_id(_: Random, panel: dict[str, Json]) -> None:
    panel.pop("id", None)


ACCIDENTS: list[Change] = [
    _wrong_format, _no_format, _instant, _hidden, _elsewhere, _other_type, _shifted, _id_as_text, _no_id,
]  # fmt: skip


def _no_transformation(chance: Random, panel: dict[str, Json]) -> None:
    panel["transformations"] = chance.choice([[], None, [{"id": "merge", "options": {}}]])


def _disabled(_: Random, panel: dict[str, Json]) -> None:
    for one in panel.get("transformations") or []:
        one["disabled"] = True


def _renamed(chance: Random, panel: dict[str, Json]) -> None:
    for one in _organizers({"transformations": panel.get("transformations") or []}):
        names = chance.choice([{"tenant_id": "Kunde"}, {}, {"Value": "", "tenant_id": "Tenant ID"}, None])
        one.setdefault("options", {})["renameByName"] = names


def _renamed_again(chance: Random, panel: dict[str, Json]) -> None:
    names = {"Tenant ID": "Kunde", chance.choice(["Events/sec", "Value"]): "Rate", "Kunde": "Customer"}
    again = {"id": "organize", "options": {"renameByName": names}}
    panel["transformations"] = [*(panel.get("transformations") or []), again]


def _column_hidden(chance: Random, panel: dict[str, Json]) -> None:
    for one in _organizers({"transformations": panel.get("transformations") or []}):
        one.setdefault("options", {})["excludeByName"] = {
            chance.choice(["Value", "tenant_id", "Time"]): True,
            "x": True,
        }


def _no_options(_: Random, panel: dict[str, Json]) -> None:
    for one in _organizers({"transformations": panel.get("transformations") or []}):
        one.pop("options", None)


OF_TABLES: list[Change] = [
    _no_transformation, _disabled, _renamed, _renamed_again, _column_hidden, _no_options,
]  # fmt: skip


# What an operator would see, by the runbook.


def shown(panel: Mapping[str, Json], variables: Mapping[str, Json]) -> Json:
    """The lines (topics) of panel 20, or the rows of panel 21 as {tenant: rate}; what it shows instead, as a text."""
    query = panel["targets"][0]
    if type(panel.get("id")) is not int or panel.get("timeShift") or query.get("hide"):
        return "nothing of now: no number, yesterday, or a query that is not asked"
    source = panel.get("datasource")
    if not source or (isinstance(source, dict) and source.get("uid") == "-- Mixed --"):
        source = query.get("datasource")
    if not _leads_here(source, variables):
        return f"what {source} answers"
    is_range = query.get("range") is True or not query.get("instant")
    drawn = {"timeseries": _lines, "graph": _lines, "table": _rows}.get(panel["type"])
    return drawn(panel, query.get("format") or "time_series", is_range) if drawn else panel["type"]


def _lines(_panel: Mapping[str, Json], form: str, is_range: bool) -> Json:
    return sorted(TOPICS) if is_range and form == "time_series" else "no lines"


def _rows(panel: Mapping[str, Json], form: str, is_range: bool) -> Json:
    if form != "table":
        return "one table a tenant, with the tenant's name above its rate"
    if is_range:
        return "a row for each point of time"
    columns = table_columns(panel)
    if not {"Tenant ID", "Events/sec"} <= columns.keys():
        return f"columns {[*columns]}"
    return dict(zip(columns["Tenant ID"], columns["Events/sec"], strict=True))


def table_columns(panel: Mapping[str, Json]) -> dict[str, list[Json]]:
    """The columns that the transformations make of a table of tenants."""
    columns: dict[str, list[Json]] = {"Time": ["now", "now"], "tenant_id": [*TENANTS], "Value": [*TENANTS.values()]}
    for one in panel.get("transformations") or []:
        if one["id"] == "organize" and not one.get("disabled"):
            columns = _organized(columns, one.get("options") or {})
    return columns


def _organized(columns: dict[str, list[Json]], options: Mapping[str, Json]) -> dict[str, list[Json]]:
    hidden, names = options.get("excludeByName") or {}, options.get("renameByName") or {}
    return {names.get(name) or name: values for name, values in columns.items() if not hidden.get(name)}


def _leads_here(source: Json, variables: Mapping[str, Json]) -> bool:
    """The default is ours, and so is every variable of these dashboards that exists."""
    name = source.get("uid") if isinstance(source, dict) else source
    if isinstance(source, dict) and source.get("type", "prometheus") != "prometheus":
        return False
    if str(name).strip("${}") in variables:
        return True
    return not name or name in {HERE, "Prometheus", "same-address"}


def unmet_criteria(raw: bytes) -> str:
    """What of the runbook's promises the panels of a file do not keep; empty if they keep them."""
    found = ours(raw)
    variables = {one["name"]: one for one in json.loads(raw.removeprefix(BOM))["templating"]["list"]}
    lines, rows = (shown(found[number], variables) for number in (20, 21))
    if lines != sorted(TOPICS):
        return f"panel 20 shows {lines}"
    return "" if rows == TENANTS else f"panel 21 shows {rows}"
