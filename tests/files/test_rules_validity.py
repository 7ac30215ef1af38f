"""What keeps a rules file from being loaded, as far as it can be told without Prometheus's own program."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from runbook.files.rules_validity import holds_alert, line_of, rules_problem

NOBODY = "no-such-promtool"
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")
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
        ("groups:\n- name: a\n  name: b\n", "line 3: the key name is there twice"),
        (
            "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up\n    for: soon\n",
            "line 4: `for: soon` is no duration",
        ),
        ("groups: [{name: a, rules: [{record: a, expr: up, for: 5m}]}]", "`for` in a recording rule"),
        ("groups: []\n---\ngroups: []\n", "line 2: a second YAML document"),
        ("groups: 7", "no list of groups"),
        ("groups:\n\t- name: a\n", "line 2: not YAML"),
    ],
)
def test_without_promtool_the_structure_is_judged(content: str, seen: str) -> None:
    assert seen in rules_problem(content.encode(), NOBODY)


@pytest.mark.parametrize(
    "content",
    [
        "groups: []",
        "groups: null",
        "groups:\n",
        "",
        "\ufeff# nothing\r\ngroups: []",
        "groups: [{name: a, rules: null}]",
        f"groups: [{{name: a, rules: [{RULE}]}}]",
        f"groups: [{{name: a, rules: [&a {RULE}, {{<<: *a, alert: B}}]}}]",
        "groups: [{name: a, rules: [{alert: A, expr: up, labels: {day: 2024-13-45}}]}]",
        '{"groups": [{"name": "a", "rules": [{"record": "a", "expr": "up"}]}]}',
    ],
)
def test_what_prometheus_takes_is_no_problem(content: str) -> None:
    assert rules_problem(content.encode(), NOBODY) == ""


def test_promtool_agrees_where_it_is() -> None:
    """What our own reading calls wrong or right is so for Prometheus's own checker; its words and its line go first."""
    if PROMTOOL is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool not found: set PROMTOOL or install it")
        pytest.skip("promtool not found: set PROMTOOL or install it")
    wrong = b"groups:\n  - name: a\n    rules:\n      - alert: A\n        expr: up == (\n"
    said = rules_problem(wrong, PROMTOOL)
    assert said.startswith('promtool: 5:15: group "a", rule 1, "A": could not parse expression')
    assert line_of(said) == 5
    misspelt = b"groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up\n    lables: {a: b}\n"
    assert "line 6: field lables not found" in rules_problem(misspelt, PROMTOOL)
    assert rules_problem(misspelt, NOBODY) == ""
    for content in (
        b"groups: null\n",
        b"",
        b"groups: [{name: a, rules: [&a {alert: A, expr: up}, {<<: *a, alert: B}]}]",
    ):
        assert rules_problem(content, PROMTOOL) == ""


@pytest.mark.posix("programs that are text")
@pytest.mark.parametrize("program", ["#!/bin/sh\necho 'bad expression'; exit 1\n", "\x7fELF of another machine"])
def test_promtool_is_quoted_and_one_that_cannot_run_says_nothing(tmp_path: Path, program: str) -> None:
    promtool = tmp_path / "promtool"
    promtool.write_text(program)
    promtool.chmod(stat.S_IRWXU)
    said = rules_problem(f"groups: [{{name: a, rules: [{RULE}]}}]".encode(), str(promtool))
    assert said == ("promtool: bad expression" if program.startswith("#!") else "")


@pytest.mark.parametrize(
    ("content", "holds"),
    [
        ("groups: [{name: a, rules: [{alert: CrmEventsSinkDown, expr: up}]}]", True),
        ("groups: [{name: a, rules: [&a {alert: CrmEventsSinkDown, expr: up}, {<<: *a}]}]", True),
        ("groups: [{name: a, rules: [{record: CrmEventsSinkDown, expr: up}]}]", False),
        ("groups: null", False),
        ("groups: [", False),
        ("", False),
    ],
)
def test_whether_the_alert_is_in_a_file(content: str, *, holds: bool) -> None:
    """By its name, also one that comes by a merge key; a file that cannot be parsed holds nothing."""
    assert holds_alert(content.encode()) is holds
