"""How a group writes its rules, learnt from those it has, so that a new one looks like its neighbours."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from runbook.files.rules_file import RulesFile, TargetRules
from runbook.files.text import Text
from runbook.files.wanted_rule import WantedRule

_COMMENT = re.compile(r"([ ]*)(#+[ ]*)\w.*")
_OURS = re.compile(r"^(?:(?P<comment># )|(?P<dash>- )|(?P<deep> {4})|(?P<key> {2}))")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStyle:
    """Columns: of the dash, from there to the keys, from the keys to nested keys; and what begins a comment."""

    dash: int
    to_key: int
    to_nested: int
    comment: str

    def rendered(self, wanted: WantedRule) -> list[str]:
        """The lines of a rule as this group would write it, its comment above it."""
        key = " " * (self.dash + self.to_key)
        begins = {
            "comment": self.comment,
            "dash": " " * self.dash + "-".ljust(self.to_key),
            "key": key,
            "deep": key + " " * self.to_nested,
        }
        return [_OURS.sub(lambda part: begins[str(part.lastgroup)], line, count=1) for line in wanted.text.splitlines()]


def style_of(file: RulesFile, target: TargetRules) -> RuleStyle:
    """The style of the target group; the common one where it has too few rules to learn from."""
    dash = target.value.start_mark.column if target.items else _dash_of_empty(file, target)
    to_key, to_nested = _steps(target, dash)
    return RuleStyle(dash=dash, to_key=to_key, to_nested=to_nested, comment=_comment(file.text, target, dash))


def _dash_of_empty(file: RulesFile, target: TargetRules) -> int:
    """The dash below `rules:` as in the first group that has one; else two columns further in."""
    for group in file.groups:
        for key, value in group.value:
            if key.value == "rules" and isinstance(value, yaml.SequenceNode) and value.value and not value.flow_style:
                step = value.start_mark.column - key.start_mark.column
                return int(target.key.start_mark.column + max(step, 0))
    return int(target.key.start_mark.column) + 2


def _steps(target: TargetRules, dash: int) -> tuple[int, int]:
    """Columns from dash to key and from key to nested key, by the last rule that has both on lines of their own."""
    to_key, to_nested = 2, 2
    for rule in target.items:
        column = _column(rule)
        if column <= dash:
            continue
        to_key = column - dash
        for key, value in rule.value:
            if _column(value) > column and value.start_mark.index > key.start_mark.index:
                to_nested = _column(value) - column
    return to_key, to_nested


def _column(node: yaml.Node) -> int:
    """Where the keys of a mapping stand that has them on lines of their own; else -1."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return int(node.value[0][0].start_mark.column)
    return -1


def _comment(text: Text, target: TargetRules, dash: int) -> str:
    """What the last comment right above a rule of the group begins with: its indentation and its mark."""
    found = " " * dash + "# "
    for line in _lines_above(text, target):
        match = _COMMENT.fullmatch(line.rstrip("\r"))
        if match:
            found = match[1] + match[2]
    return found


def _lines_above(text: Text, target: TargetRules) -> Iterator[str]:
    for rule in target.items:
        start = text.body.rfind("\n", 0, rule.start_mark.index)
        yield text.body[text.body.rfind("\n", 0, max(start, 0)) + 1 : max(start, 0)]
