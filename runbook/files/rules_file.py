"""A rules file as found: its groups and rules with their place in the text, and every reason to refuse the file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from runbook.errors import DocumentError
from runbook.files import yaml_text
from runbook.files.prometheus_text import duration_s
from runbook.files.text import Text, decoded
from runbook.files.wanted_rule import Rule

GROUP = "crm_events_alerts"
_FIELDS = {"alert", "expr", "for", "labels", "annotations"}
_NOTHING = {"", "[]", "~", "null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRule:
    """One rule of the file: the name of its group, the list that it is in, and its node."""

    group: str
    rules: yaml.SequenceNode
    node: yaml.MappingNode

    @property
    def offset(self) -> int:
        """Where its text begins."""
        return int(self.node.start_mark.index)

    @property
    def rule(self) -> Rule:
        """The rule as Prometheus reads it."""
        return Rule(
            alert=yaml_text.scalar(self.node, "alert"),
            expr=yaml_text.scalar(self.node, "expr"),
            for_s=duration_s(yaml_text.scalar(self.node, "for") or "0"),
            labels=yaml_text.mapping(self.node, "labels"),
            annotations=yaml_text.mapping(self.node, "annotations"),
        )

    @property
    def name(self) -> str:
        """What it is called: an alert, or the series that it records."""
        return yaml_text.scalar(self.node, "alert") or yaml_text.scalar(self.node, "record")

    @property
    def further_fields(self) -> list[str]:
        """Fields that no rule of the runbook has."""
        return sorted(yaml_text.keys(self.node) - _FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRules:
    """The value of `rules` in the target group: a list with one rule per dash, or nothing yet; and where its key is."""

    key: yaml.ScalarNode
    value: yaml.Node

    @property
    def items(self) -> list[yaml.Node]:
        """The rules so far."""
        return list(self.value.value) if isinstance(self.value, yaml.SequenceNode) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesFile:
    """The text and its groups in file order."""

    text: Text
    groups: tuple[yaml.MappingNode, ...]

    def rules(self) -> Iterator[FoundRule]:
        """Every rule of every group."""
        for group in self.groups:
            lists = [found for found in yaml_text.values(group, "rules") if isinstance(found, yaml.SequenceNode)]
            for rules in lists:
                nodes = (node for node in rules.value if isinstance(node, yaml.MappingNode))
                yield from (FoundRule(group=yaml_text.scalar(group, "name"), rules=rules, node=node) for node in nodes)

    def target(self) -> TargetRules:
        """The rules of the one target group; raises DocumentError if nothing can be appended to them by line."""
        group = self.target_group()
        pairs = [(key, value) for key, value in group.value if key.value == "rules"]
        if not pairs and yaml_text.values(group, "rules"):
            raise self.text.refusal(
                f"the rules of the group {GROUP} come by a merge key (<<) from another mapping",
                offset=group.start_mark.index,
                fix=f"give {GROUP} a list of rules of its own",
            )
        if len(pairs) == 1 and not group.flow_style:
            found = TargetRules(key=pairs[0][0], value=pairs[0][1])
            self._refuse_shared(group, found.value)
            if self._is_appendable(found.value):
                return found
        raise self.text.refusal(
            f"the group {GROUP} has no list of rules with one rule per dash",
            offset=group.start_mark.index,
            fix="write its rules as a list, each one beginning with `- alert:` or `- record:`",
        )

    def target_group(self) -> yaml.MappingNode:
        """The one target group; raises DocumentError if there is none, or more."""
        named = [group for group in self.groups if yaml_text.scalar(group, "name") == GROUP]
        if not named:
            names = ", ".join(yaml_text.scalar(group, "name") for group in self.groups) or "none"
            raise self.text.refusal(
                f"there is no group {GROUP}; groups found: {names}",
                fix=f"give the right rules file, or add the group {GROUP} to it",
            )
        if len(named) > 1:
            raise self.text.refusal(
                f"the group {GROUP} is there {len(named)} times",
                offset=named[1].start_mark.index,
                fix="merge the two groups: Prometheus refuses a file with a group twice",
            )
        return named[0]

    def _refuse_shared(self, group: yaml.MappingNode, rules: yaml.Node) -> None:
        """Raise DocumentError if another group has the very same list by an alias: it would get the rule too."""
        lists = [value for one in self.groups for value in yaml_text.values(one, "rules")]
        if sum(value is rules for value in lists) > 1 or rules.start_mark.index < group.start_mark.index:
            raise self.text.refusal(
                f"the rules of the group {GROUP} are shared with another group by an alias",
                offset=group.start_mark.index,
                fix=f"give {GROUP} a list of rules of its own",
            )

    def _is_appendable(self, rules: yaml.Node) -> bool:
        written = self.text.body[rules.start_mark.index : rules.end_mark.index]
        if isinstance(rules, yaml.SequenceNode) and rules.value:
            return written.startswith("-")
        return written in _NOTHING


def rules_file(text: Text) -> RulesFile:
    """Find the groups; raises DocumentError if the file is no rules file, or has no or two lists of groups."""
    lone = re.search(r"\r(?!\n)", text.body)
    if lone:
        raise text.refusal(
            "a line ends in a carriage return alone, which YAML takes for a line end and most editors do not",
            offset=lone.start(),
            fix="save the file with LF or CRLF at the end of each line, then run the command again",
        )
    found = yaml_text.values(yaml_text.document(text), "groups")
    if len(found) != 1 or not isinstance(found[0], yaml.SequenceNode):
        is_empty = bool(found) and isinstance(found[0], yaml.ScalarNode) and found[0].value in _NOTHING
        seen = "`groups` is there twice" if found[1:] else "no list of groups"
        seen = "`groups` is empty" if is_empty and not found[1:] else seen
        raise text.refusal(seen, fix="give the rules file: its YAML has one list `groups` on the top level")
    groups = tuple(group for group in found[0].value if isinstance(group, yaml.MappingNode))
    return RulesFile(text=text, groups=groups)


def groups_of(raw: bytes, name: str, path: Path) -> tuple[str, ...]:
    """Return the names of the groups in which a rules file has rules of that name. Raises DocumentError."""
    found = rules_file(decoded(raw, path=path)).rules()
    return tuple(dict.fromkeys(rule.group for rule in found if rule.name == name))


def not_exact(text: Text, offset: int, name: str) -> DocumentError:
    """The refusal to change what cannot be changed without touching something else."""
    return text.refusal(
        "this is written in a way that cannot be edited exactly; the file was left as it is",
        offset=offset,
        fix=f"put {name} at the end of the group {GROUP} by hand, then run the command again",
    )
