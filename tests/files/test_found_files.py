"""Whatever a file in the field looks like: what must become of it does, and no byte changes that nobody meant to."""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook.errors import DocumentError
from runbook.files.file_io import read_document, write_documents
from runbook.files.panels import plan_panels
from runbook.files.rules import plan_rules
from tests.files.found_dashboards import BOM, WANTED, found_dashboard
from tests.files.found_rules import WANTED as RULES
from tests.files.found_rules import found_rules
from tests.files.judged import (
    outcome_of,
    outcome_of_rules,
    patched,
    rejected,
    unintended,
    unintended_in_rules,
    wrong_layout,
    wrong_meaning,
)

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SEEDS = st.integers(0, 2**32)
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")


@given(SEEDS)
def test_a_dashboard_becomes_what_it_must(seed: int) -> None:
    """Applied, unchanged, conflict or refused, and nothing else; no other exception either."""
    found = found_dashboard(seed)
    outcome, _ = outcome_of(found)
    assert found.expected == outcome


@given(SEEDS)
def test_no_byte_of_a_dashboard_changes_but_ours_and_the_rows(seed: int) -> None:
    """Judged along the places that the generator noted, and applied twice."""
    found = found_dashboard(seed)
    _, plan = outcome_of(found)
    if plan:
        assert unintended(found, plan.after) == ""
        assert plan_panels(plan.after, WANTED, path=Path("d.json"), **found.options).after == plan.after


@given(SEEDS)
def test_no_panel_overlaps_that_did_not(seed: int) -> None:
    """And the panels keep their order."""
    found = found_dashboard(seed)
    _, plan = outcome_of(found)
    if plan:
        assert wrong_layout(found, plan.after) == ""


@given(SEEDS)
def test_rules_become_what_they_must(seed: int) -> None:
    found = found_rules(seed)
    outcome, _ = outcome_of_rules(found)
    assert found.expected == outcome


@given(SEEDS)
@example(338)
@example(715)
@example(1218)
def test_no_byte_of_rules_changes_but_the_alert(seed: int) -> None:
    """One block of lines at the group's end, or one moved there; the same meaning else; applied twice."""
    found = found_rules(seed)
    _, plan = outcome_of_rules(found)
    if plan:
        assert unintended_in_rules(found, plan.after) == ""
        assert wrong_meaning(found, plan.after) == ""
        assert plan_rules(plan.after, RULES, path=Path("r.yml"), **found.options).after == plan.after


def damaged(raw: bytes, chance: Random) -> bytes:
    """A file after an accident: bytes lost, typed in, or pasted from elsewhere in it."""
    found = bytearray(raw)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(found) + 1)
        kind = chance.choice(["lost", "typed", "pasted", "put"])
        if kind == "lost":
            del found[at : at + chance.randint(1, 30)]
        elif kind == "typed":
            found[at:at] = bytes(chance.choices(b" -:#[]{}&*|>,'\"\\\n\r\t%!?\xc3\xff0", k=chance.randint(1, 3)))
        elif kind == "pasted":
            start = chance.randrange(len(found) + 1)
            found[at:at] = found[start : start + chance.randint(1, 80)]
        else:
            comma = found.find(b",", at)
            found[comma:comma] = chance.choice(STRANGE) if comma > 0 else b""
    return bytes(found)


STRANGE = [
    b',"id":true',
    b',"id":"x"',
    b',"id":19',
    b',"datasource":[1]',
    b',"targets":[[]]',
    b',"gridPos":[]',
    b',"title":{}',
    b',"y":1e999',
    b',"gridPos":{"x":0,"y":123456789012345678901234567890,"w":true,"h":-1}',
    b',"panels":[{"id":19}]',
]


@settings(max_examples=200)
@given(SEEDS)
def test_a_damaged_file_is_edited_or_refused(seed: int) -> None:
    """No exception but DocumentError, whatever the accident."""
    chance = Random(seed)  # noqa: S311 - no secret
    dashboard, rules = found_dashboard(seed), found_rules(seed)
    with suppress(DocumentError):
        plan_panels(damaged(dashboard.raw, chance), WANTED, path=Path("d.json"), **dashboard.options)
    with suppress(DocumentError):
        plan_rules(damaged(rules.raw, chance), RULES, path=Path("r.yml"), **rules.options)


@pytest.mark.timeout(600)
@settings(max_examples=3000 if THOROUGH else 250)  # one in fifty has 200 to 2,000 panels
@given(SEEDS)
def test_the_diff_of_a_dry_run_is_that_of_the_change(seed: int) -> None:
    """It gives, applied by somebody else, the very bytes of the written files, whose diff is the same byte for byte."""
    plans = [plan for _, plan in (outcome_of(found_dashboard(seed)), outcome_of_rules(found_rules(seed))) if plan]
    with TemporaryDirectory() as folder:
        changes = [replace(plan, path=Path(folder) / str(number)) for number, plan in enumerate(plans)]
        for change in changes:
            change.path.write_bytes(change.before)
        write_documents(changes, journal=Path(folder) / "journal")
        for change in changes:
            written = read_document(change.path)
            assert change.diff() == replace(change, after=written).diff()
            assert (change.before if change.is_empty else patched(change.before, change.diff())) == written


@pytest.mark.posix("promtool where these tests run")
def test_promtool_accepts_every_edited_rules_file(tmp_path: Path) -> None:
    """Prometheus's own checker, many files in one call; it accepts them before as well."""
    if PROMTOOL is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool not found: set PROMTOOL or install it")
        pytest.skip("promtool not found: set PROMTOOL or install it")
    files = []
    for seed in range(150):
        _, plan = outcome_of_rules(found_rules(seed))
        for name, raw in (("before", plan.before), ("after", plan.after)) if plan else ():
            files.append(tmp_path / f"{seed}-{name}.yml")
            files[-1].write_bytes(raw)
    assert len(files) > 100
    assert rejected(PROMTOOL, files) == []


def test_the_judges_catch_what_nobody_meant() -> None:
    """Negative control: each kind of change that a careless editor makes is found."""
    found = next(found for seed in range(99) if (found := found_dashboard(seed)).expected == "applied" and found.spots)
    _, plan = outcome_of(found)
    assert plan
    careless = [
        BOM + plan.after.removeprefix(BOM) if not found.raw.startswith(BOM) else plan.after.removeprefix(BOM),
        plan.after + b"\n",
        plan.after.replace(b'"uid"', b'"u\\u0069d"', 1),
        json.dumps(json.loads(plan.after.removeprefix(BOM))).encode(),
        found.raw,
    ]
    assert all(unintended(found, after) for after in careless)
    rules = next(
        rules for seed in range(99) if (rules := found_rules(seed)).expected == "applied" and not rules.options
    )
    _, plan = outcome_of_rules(rules)
    assert plan
    careless = [plan.after + b"\n", plan.after.replace(b"rules:", b"rules: ", 1), rules.raw, b"# x\n" + plan.after]
    assert all(unintended_in_rules(rules, after) for after in careless)
