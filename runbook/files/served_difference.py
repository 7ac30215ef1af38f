"""How what is served differs from a file after a change: only what the change touches is compared field by field.

So a change that was taken back is proven by what it had touched. What both versions say alike is left out: Grafana and
Prometheus add to what they have read, and normalise it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from runbook.errors import DocumentError
from runbook.files.compare import differences
from runbook.files.dashboard_file import dashboard_file, panel_id
from runbook.files.file_change import FileChange
from runbook.files.rules_file import rules_file
from runbook.files.text import decoded
from runbook.files.wanted_rule import Rule

T = TypeVar("T")
Panel = Mapping[str, Any]
NormalForm = Callable[[str], str | None]
"""An expression as Prometheus writes it; None from one that is too old to be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedRule:
    """A rule and the group that it is in; of a recording rule `rule.alert` is the name that it records."""

    group: str
    rule: Rule

    @property
    def name(self) -> str:
        """How to speak of it."""
        return f"{self.rule.alert} in group {self.group}"


def served_panels_difference(served: Iterable[Panel], change: FileChange) -> str:
    """What shows that a dashboard is not served as it is after a change, in one sentence; nothing if it is.

    Every panel of `after` must be served, none that only `before` has, and every field as in `after` in which the two
    differ. Panels are known by their ids. A `before` that cannot be read has none. Raises DocumentError if `after`
    cannot be read.
    """
    now = {panel_id(panel): panel for panel in served}
    then, since = _panels(change.after, change.path), _readable(_panels, change.before, change.path) or {}
    for number in since.keys() - then.keys():
        if number in now:
            return f"panel {number} is still served"
    for number, panel in then.items():
        if number not in now:
            return f"panel {number} is not served"
        for field in dict.fromkeys((*panel, *since.get(number, {}))):
            if differing := _differing(field, now[number], panel, since.get(number, {})):
                return f"panel {number} is served with another {differing}"
    return ""


def loaded_rules_difference(
    loaded: Iterable[GroupedRule], change: FileChange, normal_form: NormalForm = lambda _: None
) -> str:
    """What shows that a rules file is not loaded as it is after a change, in one sentence; nothing if it is.

    Every rule of `after` must be loaded, by group and name, none that only `before` has, and as in `after` where the
    two differ. A `before` that cannot be read has none. Raises DocumentError if `after` cannot be read.
    """
    now = _by_name(loaded)
    then, since = _rules(change.after, change.path), _readable(_rules, change.before, change.path) or {}
    for name in since.keys() - then.keys():
        if name in now:
            return f"{name} is still loaded"
    for name, rules in then.items():
        if len(now.get(name, ())) < len(rules):
            return f"{name} is not loaded"
        changed = [rule for rule in rules if rule not in since.get(name, ())] if name in since else []
        gone = [rule for rule in since.get(name, ()) if rule not in rules]
        if not all(any(_is(rule, seen, gone, normal_form) for seen in now[name]) for rule in changed):
            return f"{name} is loaded, with other content"
    return ""


def touched_rules(change: FileChange) -> frozenset[str]:
    """Return the rules, by group and name, that a changed file has and its version before has not, or has otherwise."""
    then, since = _rules(change.after, change.path), _readable(_rules, change.before, change.path) or {}
    return frozenset(name for name, rules in then.items() if any(rule not in since.get(name, ()) for rule in rules))


def _readable(read: Callable[[bytes, Path], T], raw: bytes, path: Path) -> T | None:
    try:
        return read(raw, path)
    except DocumentError:
        return None


def _panels(raw: bytes, path: Path) -> dict[object, Panel]:
    """Top-level panels by id."""
    panels = dashboard_file(decoded(raw, path=path)).panels
    return {panel.id: panel.fields for panel in panels if panel.id is not None}


def _differing(field: str, served: Panel, wanted: Panel, other: Panel) -> str:
    """The place within a field that is not as wanted, or that is there only in the other version; nothing if all is.

    A datasource's bare name may be served as a reference to it. A panel that the other version has not got was there
    all the time, or is there again: its fields are nobody's business.
    """
    now, then, since = served.get(field), wanted.get(field), other.get(field)
    if not other or then == since or (field == "datasource" and isinstance(then, str) and isinstance(now, Mapping)):
        return ""
    missing = next(differences(field, now, then), "") if field in wanted else ""
    only_since = next(differences(field, then, since), "") if field in other else ""
    is_since = bool(only_since) and not next(differences(field, now, since), "")
    return missing or (only_since if is_since else "")


def _rules(raw: bytes, path: Path) -> dict[str, list[Rule]]:
    found = rules_file(decoded(raw, path=path)).rules()
    return _by_name(GroupedRule(group=one.group, rule=replace(one.rule, alert=one.name)) for one in found)


def _by_name(rules: Iterable[GroupedRule]) -> dict[str, list[Rule]]:
    by_name: dict[str, list[Rule]] = {}
    for one in rules:
        by_name.setdefault(one.name, []).append(one.rule)
    return by_name


def _is(wanted: Rule, seen: Rule, gone: Iterable[Rule], normal_form: NormalForm) -> bool:
    """Whether a loaded rule is the wanted one.

    Prometheus writes expressions its own way. Where it does not say which, one is wrong only if it is that of a rule
    which must be gone.
    """
    if (wanted.for_s, wanted.labels, wanted.annotations) != (seen.for_s, seen.labels, seen.annotations):
        return False
    expr = _squeezed(seen.expr)
    if expr == _squeezed(wanted.expr):
        return True
    normal = normal_form(wanted.expr)
    return expr == _squeezed(normal) if normal else expr not in {_squeezed(one.expr) for one in gone}


def _squeezed(expression: str) -> str:
    return "".join(expression.split()).replace("'", '"')
