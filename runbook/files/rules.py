"""The alert into a Prometheus rules file: located by parsing, spliced as text, parsed again and compared."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from runbook.files import yaml_events, yaml_text
from runbook.files.file_change import FileChange
from runbook.files.rule_lines import appending, cutting, lines_of, shifted
from runbook.files.rules_file import GROUP, FoundRule, RulesFile, TargetRules, not_exact, rules_file
from runbook.files.rules_style import style_of
from runbook.files.text import Splice, Text, decoded, spliced
from runbook.files.wanted_rule import MISSPELT, SPELT, WantedRule, differing_rule_fields


def plan_rules(raw: bytes, wanted: tuple[WantedRule, ...], *, path: Path, move_alert: bool = False) -> FileChange:
    """FileChange one rule after the other; the plan of all of them together."""
    plans: list[FileChange] = []
    for one in wanted:
        plans.append(plan_rule(plans[-1].after if plans else raw, one, path=path, move_alert=move_alert))
    return FileChange(
        kind="rules",
        path=path,
        before=raw,
        after=plans[-1].after,
        reason="; ".join(plan.reason for plan in plans),
        notes=tuple(dict.fromkeys(note for plan in plans for note in plan.notes)),
    )


def plan_rule(raw: bytes, wanted: WantedRule, *, path: Path, move_alert: bool = False) -> FileChange:
    """FileChange the rule at the bottom of the group `crm_events_alerts`; pure, nothing is written.

    The same rule in that group: nothing to do; in another group: nothing either, but a note, for that is drift; with
    `move_alert` it is cut there, with its comment, and pasted where it belongs. Raises DocumentError for other content
    under the rule's name, for a missing or doubled group, and for files that Prometheus would not read as meant.
    """
    text = decoded(raw, path=path)
    body, reason, notes = _planned(text, wanted, move_alert=move_alert)
    return FileChange(kind="rules", path=path, before=raw, after=text.encoded(body), reason=reason, notes=notes)


def _planned(text: Text, wanted: WantedRule, *, move_alert: bool) -> tuple[str, str, tuple[str, ...]]:
    """The new body, the reason and the notes."""
    name = wanted.rule.alert
    file, found = _looked_up(text, name)
    file.target_group()
    for rule in found:
        _refuse_other_content(text, rule, wanted)
    if not found:
        return _appended(file, file.target(), wanted), f"{name} appended to group {GROUP}", ()
    body = _respelt(text, found)
    spelling = "" if body == text.body else f'; "{MISSPELT}" corrected to "{SPELT}"'
    if move_alert and all(rule.group != GROUP for rule in found):
        group = found[0].group
        moved = _moved(replace(text, body=body), name)
        return moved, f"{name} moved from group {group} to the end of group {GROUP}{spelling}", ()
    return body, f"{name} is in group {found[0].group} already{spelling}", tuple(_drift(text, found, name))


def _looked_up(text: Text, name: str) -> tuple[RulesFile, list[FoundRule]]:
    """The file, and the rules of that name in it."""
    file = rules_file(text)
    return file, [rule for rule in file.rules() if yaml_text.scalar(rule.node, "alert") == name]


def _refuse_other_content(text: Text, found: FoundRule, wanted: WantedRule) -> None:
    """Raise DocumentError if the rule of that name is not the wanted one, and name what differs."""
    differing = [*differing_rule_fields(found.rule, wanted.rule), *found.further_fields]
    if differing:
        name = wanted.rule.alert
        raise text.refusal(
            f"{name} is in group {found.group} already, with other content: {', '.join(differing)}",
            offset=found.offset,
            fix=f"remove or rename that {name} if the runbook's is wanted, then run the command again",
        )


def _drift(text: Text, found: list[FoundRule], name: str) -> Iterator[str]:
    """Notes on a rule that is not where it belongs, or not only there."""
    for rule in found:
        if rule.group != GROUP:
            yield (
                f"{text.where(rule.offset)}: {name} is in group {rule.group}, not in {GROUP}; "
                "move it there, or run with --move-alert"
            )
    if len(found) > 1:
        yield f"{text.where(found[1].offset)}: {name} is there {len(found)} times; keep one"


def _respelt(text: Text, found: list[FoundRule]) -> str:
    """The body with the runbook's misspelt word put right in the rules found, and nothing else."""
    splices = []
    for rule in found:
        end, _ = yaml_text.last_content(text, rule.node)
        rule_text = text.body[rule.offset : end]
        if MISSPELT in rule_text:
            splices.append(Splice(rule.offset, end, rule_text.replace(MISSPELT, SPELT)))
    return spliced(text.body, splices)


def _appended(file: RulesFile, target: TargetRules, wanted: WantedRule) -> str:
    """The body with the rule below the last one of its group, in that group's style."""
    text, style = file.text, style_of(file, target)
    body = spliced(text.body, appending(text, target, style.rendered(wanted), style.dash))
    at = int(target.value.start_mark.index)
    item = yaml_events.item_of(wanted.text)
    if not _says(body, yaml_events.appended(yaml_events.events_of(text.body), at, item)):
        raise not_exact(text, at, wanted.rule.alert)
    return body


def _moved(text: Text, name: str) -> str:
    """The body with the first rule of that name cut, with its comment, and pasted at the bottom of its group."""
    file, (found, *_) = _looked_up(text, name)
    target = file.target()
    if len(found.rules.value) == 1:
        raise text.refusal(
            f"{name} is the only rule of the group {found.group}, which would be left empty",
            offset=found.offset,
            fix=f"move it to {GROUP} by hand and remove the group {found.group}",
        )
    lines = lines_of(text, found)
    column = style_of(file, target).dash
    pasted = appending(text, target, shifted(text, lines, column), column)
    body = spliced(text.body, [*pasted, cutting(text, found, lines)])
    rest, item = yaml_events.cut(yaml_events.events_of(text.body), found.offset)
    at = int(target.value.start_mark.index)
    if yaml_events.is_tied(item) or not _says(body, yaml_events.appended(rest, at, item)):
        raise not_exact(text, found.offset, name)
    return body


def _says(body: str, intended: yaml_events.Events) -> bool:
    """Whether a text is YAML and says exactly that."""
    try:
        return yaml_events.say_the_same(yaml_events.events_of(body), intended)
    except yaml.YAMLError:
        return False
