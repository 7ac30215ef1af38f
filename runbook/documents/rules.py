"""The alert into a Prometheus rules file: located by parsing, spliced as text, parsed again and compared."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from runbook.documents import yamltext
from runbook.documents.plan import Plan
from runbook.documents.promtext import duration_s
from runbook.documents.text import Splice, Text, decoded, spliced
from runbook.documents.wanted_rule import (
    MISSPELT,
    SPELT,
    Rule,
    WantedRule,
    differing_rule_fields,
)

GROUP = "crm_events_alerts"
_BLANK_LINE = re.compile(r"\n[ \t]*\r?\n")
_LIST_OPENS = 3  # events before the first item: stream, document, list; as many close them


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One rule of the file: the name of its group, and its node."""

    group: str
    node: yaml.MappingNode

    @property
    def offset(self) -> int:
        """Where its text begins."""
        return int(self.node.start_mark.index)


def plan_rules(raw: bytes, wanted: tuple[WantedRule, ...], *, source: str) -> Plan:
    """Plan one rule after the other; the plan of all of them together."""
    plans: list[Plan] = []
    for one in wanted:
        plans.append(plan_rule(plans[-1].after if plans else raw, one, source=source))
    return Plan(
        source=source,
        before=raw,
        after=plans[-1].after,
        reason="; ".join(plan.reason for plan in plans),
        notes=tuple(dict.fromkeys(note for plan in plans for note in plan.notes)),
    )


def plan_rule(raw: bytes, wanted: WantedRule, *, source: str) -> Plan:
    """Plan the rule at the bottom of the group `crm_events_alerts`; pure, nothing is written.

    The same rule in that group: nothing to do; in another group: nothing either, but a note, for that is drift.
    Raises DocumentError for other content under the rule's name, for a missing or doubled group, and for files
    that Prometheus would not read as meant.
    """
    text = decoded(raw, source=source)
    body, reason, notes = _planned(text, wanted)
    return Plan(source=source, before=raw, after=text.encoded(body), reason=reason, notes=notes)


def _planned(text: Text, wanted: WantedRule) -> tuple[str, str, tuple[str, ...]]:
    """The new body, the reason and the notes."""
    name = wanted.rule.alert
    groups = _groups(text)
    rules = _rules_of_target(text, groups)
    found = [rule for rule in _alerts(groups) if yamltext.scalar(rule.node, "alert") == name]
    if not found:
        return _appended(text, rules, wanted), f"{name} appended to group {GROUP}", ()
    for rule in found:
        _refuse_other_content(text, rule, wanted)
    body = _respelt(text, found)
    at = f"{name} is in group {found[0].group} already"
    reason = at if body == text.body else f'{at}; "{MISSPELT}" corrected to "{SPELT}"'
    return body, reason, tuple(_drift(text, found, name))


def _groups(text: Text) -> list[yaml.MappingNode]:
    """The groups of the file; raises DocumentError if there is no list of them, or two lists."""
    found = yamltext.values(yamltext.document(text), "groups")
    if len(found) != 1 or not isinstance(found[0], yaml.SequenceNode):
        seen = "`groups` is there twice" if found[1:] else "no list of groups"
        raise text.refusal(seen, fix="give the rules file: its YAML has one list `groups` on the top level")
    return [group for group in found[0].value if isinstance(group, yaml.MappingNode)]


def _rules_of_target(text: Text, groups: list[yaml.MappingNode]) -> yaml.SequenceNode:
    """The rules of the one target group, as a list that a line can be appended to."""
    named = [group for group in groups if yamltext.scalar(group, "name") == GROUP]
    if not named:
        names = ", ".join(yamltext.scalar(group, "name") for group in groups) or "none"
        raise text.refusal(
            f"there is no group {GROUP}; groups found: {names}",
            fix=f"give the right rules file, or add the group {GROUP} to it",
        )
    if len(named) > 1:
        raise text.refusal(
            f"the group {GROUP} is there {len(named)} times",
            offset=named[1].start_mark.index,
            fix="merge the two groups: Prometheus refuses a file with a group twice",
        )
    (group,) = named
    rules = yamltext.values(group, "rules")
    if len(rules) == 1 and isinstance(rules[0], yaml.SequenceNode) and rules[0].value and not rules[0].flow_style:
        return rules[0]
    raise text.refusal(
        f"the group {GROUP} has no list of rules with one rule per dash",
        offset=group.start_mark.index,
        fix="write its rules as a list, each one beginning with `- alert:` or `- record:`",
    )


def _alerts(groups: list[yaml.MappingNode]) -> Iterator[_Found]:
    """Every rule of every group."""
    for group in groups:
        for rules in yamltext.values(group, "rules"):
            for node in rules.value if isinstance(rules, yaml.SequenceNode) else []:
                if isinstance(node, yaml.MappingNode):
                    yield _Found(group=yamltext.scalar(group, "name"), node=node)


def _refuse_other_content(text: Text, found: _Found, wanted: WantedRule) -> None:
    """Raise DocumentError if the rule of that name is not the wanted one, and name what differs."""
    extra = sorted(yamltext.keys(found.node) - {"alert", "expr", "for", "labels", "annotations"})
    differing = [*differing_rule_fields(_rule(found.node), wanted.rule), *extra]
    if differing:
        name = wanted.rule.alert
        raise text.refusal(
            f"{name} is in group {found.group} already, with other content: {', '.join(differing)}",
            offset=found.offset,
            fix=f"remove or rename that {name} if the runbook's is wanted, then run the command again",
        )


def _rule(node: yaml.MappingNode) -> Rule:
    return Rule(
        alert=yamltext.scalar(node, "alert"),
        expr=yamltext.scalar(node, "expr"),
        for_s=duration_s(yamltext.scalar(node, "for") or "0"),
        labels=yamltext.mapping(node, "labels"),
        annotations=yamltext.mapping(node, "annotations"),
    )


def _drift(text: Text, found: list[_Found], name: str) -> Iterator[str]:
    """Notes on a rule that is not where it belongs, or not only there."""
    for rule in found:
        if rule.group != GROUP:
            yield f"{text.where(rule.offset)}: {name} sits in group {rule.group}, not in {GROUP}; move it there"
    if len(found) > 1:
        yield f"{text.where(found[1].offset)}: {name} is there {len(found)} times; keep one"


def _respelt(text: Text, found: list[_Found]) -> str:
    """The body with the runbook's misspelt word put right in the rules found, and nothing else."""
    splices = []
    for rule in found:
        end, _ = yamltext.last_content(text, rule.node)
        rule_text = text.body[rule.offset : end]
        if MISSPELT in rule_text:
            splices.append(Splice(rule.offset, end, rule_text.replace(MISSPELT, SPELT)))
    return spliced(text.body, splices)


def _appended(text: Text, rules: yaml.SequenceNode, wanted: WantedRule) -> str:
    """The body with the rule below the last one of its group, indented like it."""
    newline = text.newline(rules.start_mark.index)
    column = rules.start_mark.column
    content, blank_counts = yamltext.last_content(text, rules)
    at = _bottom(text.body, content, column)
    gap = newline if not blank_counts and _parted_by_blank_lines(text, rules) else ""
    block = textwrap.indent(wanted.text.rstrip("\n"), " " * column).replace("\n", newline)
    body = spliced(text.body, [Splice(at, at, newline + gap + block)])
    if not _only_added(text.body, body, wanted.text):
        raise text.refusal(
            f"the group {GROUP} is written in a way that cannot be edited exactly; the file was left as it is",
            offset=rules.start_mark.index,
            fix=f"append {wanted.rule.alert} by hand, then run the command again",
        )
    return body


def _bottom(body: str, content: int, column: int) -> int:
    """End of the last line of a group: below its last rule, and below comments indented as its rules are."""
    at = end = _line_end(body, content)
    while end < len(body):
        start = body.index("\n", end) + 1
        end = _line_end(body, start)
        line = body[start:end]
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and not (line.lstrip(" ").startswith("#") and indent >= column):
            break
        at = end if line.strip() else at
        if "\n" not in body[end:]:
            break
    return at


def _line_end(body: str, at: int) -> int:
    """Where the line of a character ends, before its line end of one or two characters."""
    end = body.find("\n", at)
    end = len(body) if end < 0 else end
    return end - 1 if body[end - 1 : end] == "\r" else end


def _parted_by_blank_lines(text: Text, rules: yaml.SequenceNode) -> bool:
    """Whether the last two rules of a group have a blank line between them; a single rule gets one."""
    *_, last = rules.value
    if len(rules.value) == 1:
        return True
    before, _ = yamltext.last_content(text, rules.value[-2])
    return _BLANK_LINE.search(text.body, before, last.start_mark.index) is not None


def _only_added(before: str, after: str, added: str) -> bool:
    """Whether the events of `after` are those of `before` with one list item more, at the end of a list."""
    try:
        old, new = [*yamltext.said(before)], [*yamltext.said(after)]
    except yaml.YAMLError:
        return False
    item = [*yamltext.said(added)][_LIST_OPENS:-_LIST_OPENS]
    at = next((index for index, (one, two) in enumerate(zip(old, new, strict=False)) if one != two), len(old))
    is_end_of_list = at < len(old) and old[at][0] is yaml.SequenceEndEvent
    return is_end_of_list and new == old[:at] + item + old[at:]
