"""What is served of a file, against one version of it: right wherever another version of the file says otherwise.

So a change that was taken back is proven by what it had touched. What both versions say alike is left out: Grafana and
Prometheus add to what they have read, and normalise it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from runbook.documents.compare import differences
from runbook.documents.located import located
from runbook.documents.rulesfile import rules_file
from runbook.documents.text import decoded
from runbook.documents.wanted_rule import Rule
from runbook.errors import DocumentError

T = TypeVar("T")
Panel = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedRule:
    """An alert and the group that it is in."""

    group: str
    rule: Rule


def panels_served_otherwise(served: Iterable[Panel], *, wanted: bytes, other: bytes, source: str) -> str:
    """What shows that a dashboard is not served as in `wanted`, in one sentence; nothing if it is.

    Panels are known by their ids. Another version that cannot be read says nothing of them. Raises DocumentError if
    `wanted` cannot be read.
    """
    now = {panel.get("id"): panel for panel in served}
    then, since = _panels(wanted, source), _readable(_panels, other, source) or {}
    for panel_id in since.keys() - then.keys():
        if panel_id in now:
            return f"panel {panel_id} is still served"
    for panel_id, panel in then.items():
        before, served_now = since.get(panel_id, {}), now.get(panel_id)
        if panel != before and served_now is None:
            return f"panel {panel_id} is not served"
        for field in dict.fromkeys((*panel, *before)):
            if differing := _differing(field, served_now or {}, panel, before):
                return f"panel {panel_id} is served with another {differing}"
    return ""


def alerts_loaded_otherwise(loaded: Iterable[GroupedRule], *, wanted: bytes, other: bytes, source: str) -> str:
    """What shows that the alerts are not loaded as in `wanted`, in one sentence; nothing if they are.

    Another version that cannot be read says nothing of them. Raises DocumentError if `wanted` cannot be read.
    """
    now = [*loaded]
    then, since = _alerts(wanted, source), _readable(_alerts, other, source) or []
    gone = [one for one in since if one not in then]
    for one in gone:
        if one in now:
            return f"{one.rule.alert} is still loaded in group {one.group}"
    for one in then:
        if one not in since and not any(_is(one, seen, gone) for seen in now):
            return f"{one.rule.alert} is not loaded as before in group {one.group}"
    return ""


def _readable(read: Callable[[bytes, str], T], raw: bytes, source: str) -> T | None:
    try:
        return read(raw, source)
    except DocumentError:
        return None


def _panels(raw: bytes, source: str) -> dict[object, Panel]:
    """Top-level panels by id."""
    panels = located(decoded(raw, source=source)).panels
    return {panel.id: panel.fields for panel in panels if panel.id is not None}


def _differing(field: str, served: Panel, wanted: Panel, other: Panel) -> str:
    """The place within a field that is not as wanted, or that is there only in the other version; nothing if all is.

    A datasource's bare name may be served as a reference to it.
    """
    now, then, since = served.get(field), wanted.get(field), other.get(field)
    if then == since or (field == "datasource" and isinstance(then, str) and isinstance(now, Mapping)):
        return ""
    missing = next(differences(field, now, then), "") if field in wanted else ""
    only_since = next(differences(field, then, since), "") if field in other else ""
    is_since = bool(only_since) and not next(differences(field, now, since), "")
    return missing or (only_since if is_since else "")


def _alerts(raw: bytes, source: str) -> list[GroupedRule]:
    found = rules_file(decoded(raw, source=source)).rules()
    return [GroupedRule(group=one.group, rule=one.rule) for one in found if one.rule.alert]


def _is(wanted: GroupedRule, seen: GroupedRule, gone: Iterable[GroupedRule]) -> bool:
    """Whether a loaded alert is the wanted one. Prometheus writes expressions its own way: only a gone one is wrong."""
    mine, its = wanted.rule, seen.rule
    same = (wanted.group, mine.alert, mine.for_s) == (seen.group, its.alert, its.for_s)
    is_gone = any(one.group == seen.group and one.rule == its for one in gone)
    return same and mine.labels == its.labels and mine.annotations == its.annotations and not is_gone
