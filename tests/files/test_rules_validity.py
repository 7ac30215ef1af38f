"""What keeps a rules file from being loaded, as far as it can be told without Prometheus's own program."""

import stat
from pathlib import Path

import pytest

from runbook.files.rules_validity import rules_problem

NOBODY = "no-such-promtool"
RULE = "{alert: A, expr: up == 0}"


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("groups: [", "not YAML"),
        ("rules: []", "no list of groups"),
        ("groups: [{}]", "without a name"),
        ("groups: [{name: a}, {name: a}]", "the group a is there twice"),
        ("groups: [{name: a, rules: [{alert: A}]}]", "without expression"),
        ("groups: [{name: a, rules: [{expr: up}]}]", "neither alert nor record"),
        ("groups: [{name: a, rules: [{alert: A, record: b, expr: up}]}]", "neither alert nor record"),
        ("groups: [{name: a, rules: [7]}]", "of the group a"),
    ],
)
def test_without_promtool_the_structure_is_judged(content: str, seen: str) -> None:
    assert seen in rules_problem(content.encode(), NOBODY)


@pytest.mark.parametrize(
    "content", ["groups: []", "groups: [{name: a, rules: null}]", f"groups: [{{name: a, rules: [{RULE}]}}]"]
)
def test_what_prometheus_takes_is_no_problem(content: str) -> None:
    assert rules_problem(content.encode(), NOBODY) == ""


@pytest.mark.posix("programs that are text")
@pytest.mark.parametrize("program", ["#!/bin/sh\necho 'bad expression'; exit 1\n", "\x7fELF of another machine"])
def test_promtool_is_quoted_and_one_that_cannot_run_says_nothing(tmp_path: Path, program: str) -> None:
    promtool = tmp_path / "promtool"
    promtool.write_text(program)
    promtool.chmod(stat.S_IRWXU)
    said = rules_problem(f"groups: [{{name: a, rules: [{RULE}]}}]".encode(), str(promtool))
    assert said == ("promtool: bad expression" if program.startswith("#!") else "")
