"""The alert that is wanted, and what a file or Prometheus holds under its name, compared field by field."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from runbook.files.prometheus_text import duration_s, one_line

MISSPELT, SPELT = "scraapped", "scraped"  # the runbook's own text has the first; both mean the same alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An alerting rule as meant: `for_s` in seconds, None if the duration cannot be read."""

    alert: str
    expr: str
    for_s: float | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRule:
    """A rule to append: `text` is its YAML as one list item with its comment, not indented."""

    text: str
    rule: Rule = field(init=False)

    def __post_init__(self) -> None:
        """Read the rule out of its text, so that the two cannot differ."""
        (item,) = yaml.safe_load(self.text)
        rule = Rule(
            alert=item["alert"],
            expr=item["expr"],
            for_s=duration_s(item["for"]),
            labels=item["labels"],
            annotations=item["annotations"],
        )
        object.__setattr__(self, "rule", rule)


def differing_rule_fields(seen: Rule, wanted: Rule) -> tuple[str, ...]:
    """Names of the fields that differ (`expr`, `for`, `labels.team`); empty if it is the wanted rule.

    Labels and annotations must be the same, none added: they decide where an alert goes. The runbook's
    misspelt word counts as the right one.
    """
    fields = []
    if one_line(seen.expr) != one_line(wanted.expr):
        fields.append("expr")
    if seen.for_s != wanted.for_s:
        fields.append("for")
    fields += _differing_keys("labels", seen.labels, wanted.labels)
    fields += _differing_keys("annotations", seen.annotations, wanted.annotations)
    return tuple(fields)


def _differing_keys(name: str, seen: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    keys = sorted({*seen, *wanted})
    return [f"{name}.{key}" for key in keys if _spelt(seen.get(key)) != _spelt(wanted.get(key))]


def _spelt(text: str | None) -> str | None:
    return text and text.replace(MISSPELT, SPELT)
