"""What the success criteria need of panels 20 and 21: the one list, for setup, verify and troubleshoot alike.

A panel may differ from the runbook's form in everything else: colours, thresholds, footer, order of columns, overrides.
That Grafana's frontend makes the columns of these fields is measured: see docs/PANELS.md.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

from runbook.files.compare import Datasource
from runbook.files.dashboard_file import panel_id

Fields = dict[str, Any]

_DRAWS_THE_SAME = {"timeseries": ("timeseries", "graph")}  # Grafana itself makes a timeseries of the older type
_SAYS_THE_NEEDED = {f"targets[0].{name}" for name in ("format", "instant", "range", "hide")}
_IS_NO_CHOICE = {"id", "gridPos", "datasource", "refId", "pluginVersion", "editorMode"}  # Grafana writes them


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Fields, what they must say and why, in the words of docs/PANELS.md; `repair` changes a panel that does not."""

    fields: str
    needed: str
    reason: str
    repair: Callable[[Fields, Mapping[str, Any], Datasource], None]


class Repair(NamedTuple):
    """Another value at a path of a panel: members by their keys, items by their numbers."""

    path: tuple[str | int, ...]
    value: Any

    @property
    def name(self) -> str:
        """The path as it is told: `targets[0].format`."""
        return _told(self.path)


def repaired(panel: Mapping[str, Any], wanted: Mapping[str, Any], datasource: Datasource) -> Fields:
    """The panel as the success criteria need it, and otherwise as it is."""
    fields = deepcopy(dict(panel))
    for need in NEEDS:
        need.repair(fields, wanted, datasource)
    return fields


def unmet(panel: Mapping[str, Any], wanted: Mapping[str, Any], datasource: Datasource) -> tuple[Repair, ...]:
    """What a panel must say otherwise, by the list; empty if it has all that the success criteria need."""
    return tuple(repairs(panel, repaired(panel, wanted, datasource)))


def repairs(found: Any, wanted: Any, path: tuple[str | int, ...] = ()) -> Iterator[Repair]:  # noqa: ANN401 - any JSON value
    """The smallest parts that differ between a value and what it is to become: whole only where something goes."""
    if isinstance(found, dict) and isinstance(wanted, dict) and found and found.keys() <= wanted.keys():
        for key, value in wanted.items():
            if key in found:
                yield from repairs(found[key], value, (*path, key))
            else:
                yield Repair((*path, key), value)
    elif isinstance(found, list) and isinstance(wanted, list) and found and len(found) <= len(wanted):
        for index, value in enumerate(wanted):
            if index < len(found):
                yield from repairs(found[index], value, (*path, index))
            else:
                yield Repair((*path, index), value)
    elif isinstance(found, bool) is not isinstance(wanted, bool) or found != wanted:
        yield Repair(path, wanted)


def unspaced(expression: str) -> str:
    """An expression without its white space: PromQL needs none where these two panels have some."""
    return "".join(expression.split())


def choices(panel: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a panel that has what is needed says something else than the wanted one, or more: what somebody chose."""
    return tuple(name for name in _choices((), panel, wanted) if name not in _SAYS_THE_NEEDED)


def _choices(path: tuple[str | int, ...], found: Any, wanted: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(found, Mapping) and (wanted is None or isinstance(wanted, Mapping)):
        wanted = wanted or {}
        for key in dict.fromkeys((*wanted, *found)):
            if key not in _IS_NO_CHOICE:
                yield from _choices((*path, key), found.get(key), wanted.get(key))
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for index, value in enumerate(wanted):
            yield from _choices((*path, index), found[index], value)
    elif (found or wanted) and (isinstance(found, bool) is not isinstance(wanted, bool) or found != wanted):
        yield _told(path)


def _told(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


# What is needed, field by field. A repair is made only where the need is not met, and of nothing else.


def _id(panel: Fields, wanted: Mapping[str, Any], _: Datasource) -> None:
    if isinstance(panel.get("id"), str) or panel_id(panel) is None:
        panel["id"] = wanted["id"]


def _type(panel: Fields, wanted: Mapping[str, Any], _: Datasource) -> None:
    kind = wanted.get("type")
    if kind and panel.get("type") not in _DRAWS_THE_SAME.get(kind, (kind,)):
        panel["type"] = kind


def _time_shift(panel: Fields, _wanted: Mapping[str, Any], _: Datasource) -> None:
    if panel.get("timeShift"):
        panel["timeShift"] = None


def _expression(panel: Fields, wanted: Mapping[str, Any], _: Datasource) -> None:
    targets, needed = panel.get("targets"), wanted["targets"]
    if not isinstance(targets, list) or not targets or not isinstance(targets[0], dict):
        panel["targets"] = deepcopy(needed)
    elif unspaced(str(targets[0].get("expr"))) != unspaced(needed[0]["expr"]):
        targets[0]["expr"] = needed[0]["expr"]


def _hide(panel: Fields, _wanted: Mapping[str, Any], _: Datasource) -> None:
    if panel["targets"][0].get("hide"):
        panel["targets"][0]["hide"] = False


def _format(panel: Fields, wanted: Mapping[str, Any], _: Datasource) -> None:
    target, default = panel["targets"][0], "time_series"
    needed = wanted["targets"][0].get("format", default)
    if (target.get("format") or default) != needed:
        target["format"] = needed


def _instant_and_range(panel: Fields, wanted: Mapping[str, Any], _: Datasource) -> None:
    """A graph is drawn of a range, whatever comes besides; a table of now must not list a range.

    A target that asks for neither asks for a range.
    """
    target, is_instant = panel["targets"][0], bool(wanted["targets"][0].get("instant"))
    if is_instant and target.get("instant") is not True:
        target["instant"] = True
    if is_instant and target.get("range"):
        target["range"] = False
    if not is_instant and target.get("instant") and target.get("range") is not True:
        target["instant"] = False


def _datasource(panel: Fields, wanted: Mapping[str, Any], datasource: Datasource) -> None:
    """Grafana asks the panel's; the query's own if the panel has none, or says that each query has its own."""
    target, reference = panel["targets"][0], panel.get("datasource")
    own = target.get("datasource")
    is_mixed = "-- Mixed --" in (reference, reference.get("uid") if isinstance(reference, dict) else None)
    if "datasource" not in wanted:
        return
    if not (is_mixed or (not reference and own) or datasource.is_meant_by(reference)):
        panel["datasource"] = wanted["datasource"]
    if (is_mixed or own) and not datasource.is_meant_by(own):
        target["datasource"] = wanted["datasource"]


def _columns(panel: Fields, wanted: Mapping[str, Any], _: Datasource) -> None:
    """The columns have their names; which others there are, and in which order, is the operator's choice."""
    organize: Fields | None = next(iter(wanted.get("transformations", ())), None)
    if organize is None:
        return
    if not isinstance(panel.get("transformations"), list):
        panel["transformations"] = []
    found = [one for one in panel["transformations"] if isinstance(one, dict) and one.get("id") == "organize"]
    organizers = [one for one in found if not one.get("disabled")]
    if not organizers:
        panel["transformations"].append(deepcopy(organize))
        return
    for column, title in organize["options"]["renameByName"].items():
        while not _is_named(organizers, column, title):
            pass


def _is_named(organizers: list[Fields], column: str, title: str) -> bool:
    """Whether a column comes out under its title; else the last rename of it gives it that title, and none hides it."""
    name, last, key = column, organizers[-1], column
    for one in organizers:
        hidden, renamed = _option(one, "excludeByName"), _option(one, "renameByName")
        if hidden.get(name):
            hidden[name] = False
        new = renamed.get(name)
        if isinstance(new, str) and new not in {"", name}:
            last, key, name = one, name, new
    if name != title:
        options = last["options"] = last["options"] if isinstance(last.get("options"), dict) else {}
        options["renameByName"] = {**_option(last, "renameByName"), key: title}
    return name == title


def _option(organizer: Fields, key: str) -> Fields:
    """The object under a key of a transformation's options; an empty one if there is none."""
    options = organizer.get("options")
    found = options.get(key) if isinstance(options, dict) else None
    return found if isinstance(found, dict) else {}


NEEDS = (
    Need(
        fields="`id`",
        needed="a number",
        reason="Grafana knows a panel by it",
        repair=_id,
    ),
    Need(
        fields="`type`",
        needed="20: `timeseries`, or `graph`, which Grafana converts; 21: `table`",
        reason="lines, and columns",
        repair=_type,
    ),
    Need(
        fields="`timeShift`",
        needed="none",
        reason="shifted, the panel shows another time than that of the events",
        repair=_time_shift,
    ),
    Need(
        fields="`targets[0].expr`",
        needed="the runbook's query, however it is broken over lines",
        reason="in a file, a panel with another one is not ours",
        repair=_expression,
    ),
    Need(
        fields="`targets[0].hide`",
        needed="not true",
        reason="a hidden query is not asked",
        repair=_hide,
    ),
    Need(
        fields="`targets[0].format`",
        needed="20: none or `time_series`; 21: `table`",
        reason="Grafana makes the columns of a table of this alone",
        repair=_format,
    ),
    Need(
        fields="`targets[0].instant`, `range`",
        needed="20: a range, and an instant besides is fine; 21: an instant alone",
        reason="lines, and no row for each point of time",
        repair=_instant_and_range,
    ),
    Need(
        fields="`datasource`, `targets[0].datasource`",
        needed="our Prometheus, by its uid, its name, as the default, by a variable that stands on it, or by another "
        "datasource with the same address",
        reason="the sink's samples are there",
        repair=_datasource,
    ),
    Need(
        fields="`transformations`",
        needed="21: `tenant_id` comes out as `Tenant ID` and `Value` as `Events/sec`, neither hidden, through every "
        "`organize` that is not disabled",
        reason="what the runbook says to look for; the last rename is the one that is repaired",
        repair=_columns,
    ),
)
