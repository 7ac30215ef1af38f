"""Panels 20 and 21 with somebody's choices in them: what hides the events is repaired, and nothing else is touched."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.files.desired import wanted_panels
from runbook.files.file_change import FileChange
from runbook.files.panels import plan_panels
from tests.files.somebodys_panels import (
    BOM,
    DATASOURCE,
    SomebodysDashboard,
    ours,
    somebodys_dashboard,
    unmet_criteria,
)

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
EXAMPLES = 1000 if THOROUGH else 100
SEEDS = st.integers(0, 2**32)
WANTED = wanted_panels(DATASOURCE)
# Where the runbook's promises lie; every other field is somebody's own.
OF_THE_CRITERIA = re.compile(
    r"\.(id|type|timeShift|datasource(\..*)?|transformations"
    r"|targets\[0\]\.(format|instant|range|hide|datasource(\..*)?)"
    r"|transformations\[\d+\]\.options(\.(renameByName|excludeByName)(\..*)?)?)"
)
OF_THE_CRITERIA_LINE = re.compile(
    r'"(id|type|timeShift|datasource|uid|transformations|format|instant|range|hide|options|renameByName|excludeByName'
    r'|tenant_id|Value|Time|Tenant ID|Events/sec|Kunde|Customer|Rate)":|[]{}[]+$'
)


def planned(raw: bytes) -> FileChange:
    return plan_panels(raw, WANTED, path=Path("d.json"))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """Every value that holds no other one, by its path; empty objects and lists are values."""
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from leaves(one, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, one in enumerate(value):
            yield from leaves(one, f"{path}[{index}]")
    else:
        yield path, json.dumps(value)


def lost(before: bytes, after: bytes) -> list[str]:
    """Fields of somebody's own that are not there any more, or say something else; and fields that nobody needs."""
    found: list[str] = []
    for number, panel in ours(before).items():
        was, now = dict(leaves(panel)), dict(leaves(ours(after)[number]))
        one_more = f".transformations[{len(panel.get('transformations') or [])}]."
        differing = (path for path in was.keys() | now.keys() if was.get(path) != now.get(path))
        found += [path for path in differing if not (OF_THE_CRITERIA.fullmatch(path) or path.startswith(one_more))]
    return found


def outside(raw: bytes) -> tuple[bytes, bytes]:
    """The bytes before the panels of the test, and those behind."""
    return raw.partition(b'"Skew"')[0], raw.rpartition(b'"Active Alerts"')[2]


def foreign_lines(found: SomebodysDashboard, after: bytes) -> list[str]:
    """Lines that changed although they hold nothing of the criteria; a comma more at the end is no change."""
    before, now = ([line.strip().rstrip(",") for line in raw.decode().split("\n")] for raw in (found.raw, after))
    changed = [line for line in unified_diff(before, now, n=0, lineterm="") if line[:3] not in {"---", "+++", "@@ "}]
    return [line for line in changed if not OF_THE_CRITERIA_LINE.match(line[1:].strip())]


@settings(max_examples=EXAMPLES)
@given(SEEDS)
def test_the_criteria_are_met_and_no_field_is_lost(seed: int) -> None:
    """By an oracle of its own; the second run changes no byte, and every byte outside both panels stays."""
    found = somebodys_dashboard(seed)
    plan = planned(found.raw)

    assert unmet_criteria(plan.after) == ""
    assert lost(found.raw, plan.after) == []
    assert planned(plan.after).is_empty
    assert planned(plan.after).reason == "panels 20 and 21 already match"
    assert outside(found.raw) == outside(plan.after)
    assert plan.after.startswith(BOM) is found.raw.startswith(BOM)
    if found.has_lines:
        assert foreign_lines(found, plan.after) == []


@settings(max_examples=EXAMPLES)
@given(SEEDS)
def test_nothing_is_touched_where_the_criteria_are_met(seed: int) -> None:
    """A repair without a need would take a choice away."""
    found = somebodys_dashboard(seed, accidents=False)

    assert unmet_criteria(found.raw) == ""
    assert planned(found.raw).is_empty


@settings(max_examples=30)
@given(SEEDS)
def test_reset_gives_the_wanted_form_whole(seed: int) -> None:
    """All but the ids and the places on the grid; once."""
    found = somebodys_dashboard(seed)
    wanted = wanted_panels(DATASOURCE, reset=True)
    after = plan_panels(found.raw, wanted, path=Path("d.json")).after

    for number, one in zip((20, 21), wanted.panels, strict=True):
        panel = ours(after)[number]
        assert {**one, "gridPos": panel["gridPos"], "datasource": panel["datasource"]} == panel
        assert panel["gridPos"] == found.panels[number]["gridPos"]
    assert unmet_criteria(after) == ""
    assert plan_panels(after, wanted, path=Path("d.json")).is_empty


def test_what_is_kept_is_a_note() -> None:
    """Named by the fields, with the option that resets them."""
    plans = [planned(somebodys_dashboard(seed).raw) for seed in range(40)]
    notes = [note for plan in plans for note in plan.notes if " kept: " in note]

    assert any("options.footer" in note and "--reset-panels" in note for note in notes)
    assert any("fieldConfig.defaults.color.mode" in note for note in notes)
    assert not any("gridPos" in note or "targets[0].format" in note for note in notes)


def replaced_whole(raw: bytes) -> bytes:
    """The broken variant: our form in place of theirs."""
    return plan_panels(raw, replace(WANTED, demand="whole"), path=Path("d.json")).after


def repaired_not_at_all(raw: bytes) -> bytes:
    """The broken variant: whatever is ours by title and query is left."""
    return raw


def repaired_without_the_columns(raw: bytes) -> bytes:
    """The broken variant: the transformations stay as they were found."""
    before, after = json.loads(raw.removeprefix(BOM)), json.loads(planned(raw).after.removeprefix(BOM))
    for old, new in zip(before["panels"], after["panels"], strict=True):
        new |= {key: value for key, value in old.items() if key == "transformations"}
    return json.dumps(after).encode()


@pytest.mark.parametrize("seeds", [range(60)])
def test_the_judges_catch_broken_editors(seeds: range) -> None:
    """Negative control: who replaces loses fields, who repairs nothing or half misses the criteria."""
    files = [somebodys_dashboard(seed).raw for seed in seeds]

    assert all(lost(raw, replaced_whole(raw)) for raw in files)
    assert sum(bool(unmet_criteria(repaired_not_at_all(raw))) for raw in files) > 40
    assert sum(bool(unmet_criteria(repaired_without_the_columns(raw))) for raw in files) > 10
