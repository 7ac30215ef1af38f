"""Whatever a dashboard looks like as text: only the intended bytes change, and only once.

The proof does not use the editor's own scanner: it cuts the new panels out of the result again, with the
standard library's decoder, puts the old rows back, and must have the original bytes in hand.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.files.compare import Datasource
from runbook.files.dashboard_file import Box
from runbook.files.desired import wanted_panels
from runbook.files.layout import laid_out
from runbook.files.panels import plan_panels

REFERENCE = Path(__file__).resolve().parents[2] / "monitoring/grafana/dashboards/crm_events_pipeline.json"
BOM = b"\xef\xbb\xbf"
WANTED = wanted_panels(Datasource(uid="u1"))
Json = dict[str, Any] | list[Any] | str | float | None
DECODER = json.JSONDecoder()


def reference() -> dict[str, Any]:
    return dict(json.loads(REFERENCE.read_bytes().removeprefix(BOM)))


def shuffled(value: Json, chance: random.Random) -> Json:
    """The same JSON with the keys of every object in another order."""
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    chance.shuffle(keys)
    return {key: shuffled(value[key], chance) for key in keys}


def extra_panels(count: int) -> list[dict[str, Any]]:
    """Panels above and below the insertion row, with text that looks like what an editor searches for."""
    return [
        {"id": 100 + n, "description": '"y": 49 ]}{"id": 20 🔥', "gridPos": {"x": 0, "y": y, "w": 24, "h": 2}}
        for n, y in enumerate([55, 57, 0, 200][:count])
    ]


@st.composite
def dashboards(draw: st.DrawFn) -> bytes:
    """The reference dashboard in other clothes."""
    found = reference()
    found["panels"] += extra_panels(draw(st.integers(0, 4)))
    if draw(st.booleans()):
        mixed = shuffled(found, random.Random(draw(st.integers(0, 99))))  # noqa: S311 - no secret
        assert isinstance(mixed, dict)
        found = mixed
    indent = draw(st.sampled_from([None, 0, 1, 2, 3, 4, 8, "\t"]))
    compact = draw(st.booleans())
    comma = "," if compact or indent is not None else ", "
    colon = ":" if compact else draw(st.sampled_from([": ", " : "]))
    text = json.dumps(found, indent=indent, separators=(comma, colon), ensure_ascii=draw(st.booleans()))
    text += draw(st.sampled_from(["", "\n", "\n\n"]))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return (BOM if draw(st.booleans()) else b"") + text.encode()


def panel_span(text: str, panel_id: int) -> tuple[int, int]:
    """Where the object of that id lies: the one that the standard decoder reads at some brace."""
    for brace in re.finditer("{", text):
        try:
            value, end = DECODER.raw_decode(text, brace.start())
        except json.JSONDecodeError:
            continue
        if value.get("id") == panel_id and "gridPos" in value:
            return brace.start(), end
    raise AssertionError(panel_id)


def undone(after: bytes, before: bytes) -> bytes:
    """The result without the new panels, and with the rows of the panels as they were before."""
    text = after.decode()
    _, end_19 = panel_span(text, 19)
    _, end_21 = panel_span(text, 21)
    text = text[:end_19] + text[end_21:]
    rows = {panel["id"]: panel["gridPos"]["y"] for panel in json.loads(before.removeprefix(BOM))["panels"]}
    for panel in json.loads(after.removeprefix(BOM))["panels"]:
        old, new = rows.get(panel["id"]), panel["gridPos"]["y"]
        if old not in (None, new):
            start, end = panel_span(text, panel["id"])
            shape = rf'("y"\s*:\s*){new}(?=\s*[,}}][^{{}}]*)'
            grid = text.index('"gridPos"', start, end)
            text = text[:grid] + re.sub(shape, rf"\g<1>{old}", text[grid:], count=1)
    return text.encode()


def changes_only_what_is_meant(before: bytes, after: bytes) -> bool:
    """Undoing the intended change byte by byte gives the original."""
    return undone(after, before) == before


@settings(max_examples=25)
@given(dashboards())
def test_only_the_intended_bytes_change(before: bytes) -> None:
    """For every indentation, line end, key order, escape and byte order mark."""
    plan = plan_panels(before, WANTED, path=Path("x.json"))
    assert not plan.is_empty
    assert changes_only_what_is_meant(before, plan.after)


@settings(max_examples=25)
@given(dashboards())
def test_the_result_says_what_was_meant(before: bytes) -> None:
    """The same JSON, with the two panels behind panel 19 and everything below moved by eight rows."""
    after = json.loads(plan_panels(before, WANTED, path=Path("x.json")).after.removeprefix(BOM))
    expected = json.loads(before.removeprefix(BOM))
    for panel in expected["panels"]:
        if panel["gridPos"]["y"] >= 49:
            panel["gridPos"]["y"] += 8
    place = next(n for n, panel in enumerate(expected["panels"]) if panel["id"] == 19) + 1
    expected["panels"][place:place] = WANTED.panels
    assert expected == after


@settings(max_examples=25)
@given(dashboards())
def test_second_plan_changes_no_byte(before: bytes) -> None:
    """Planning the result again finds nothing to do, and says why."""
    first = plan_panels(before, WANTED, path=Path("x.json"))
    second = plan_panels(first.after, WANTED, path=Path("x.json"))
    assert first.after == second.after
    assert second.reason == "panels 20 and 21 already match"


@settings(max_examples=25)
@given(dashboards())
def test_new_lines_end_as_the_others_do(before: bytes) -> None:
    """A CRLF file gets no bare LF, an LF file no CR, a one-line file no line."""
    after = plan_panels(before, WANTED, path=Path("x.json")).after
    assert (b"\r\n" in before) == (b"\r\n" in after)
    if b"\r\n" in before:
        assert after.count(b"\n") == after.count(b"\r\n")
    if b"\n" not in before.rstrip():
        assert before.count(b"\n") == after.count(b"\n")


def reserialised(before: bytes) -> bytes:
    """The broken variant: load, change, dump."""
    found = json.loads(plan_panels(before, WANTED, path=Path("x.json")).after.removeprefix(BOM))
    return json.dumps(found, indent=4).encode()


def replaced_everywhere(before: bytes) -> bytes:
    """The broken variant: the right panels, but rows changed by searching for their text."""
    after = plan_panels(before, WANTED, path=Path("x.json")).after
    return after.replace(b'\\"y\\": 49', b'\\"y\\": 57')


@pytest.mark.parametrize("broken", [reserialised, replaced_everywhere])
def test_the_proof_catches_broken_editors(broken: Callable[[bytes], bytes]) -> None:
    """Negative control: an editor that re-serialises or searches for text does not pass the same check."""
    found = reference()
    found["panels"] += extra_panels(4)
    before = BOM + json.dumps(found, indent=4, ensure_ascii=False).encode()
    assert changes_only_what_is_meant(before, plan_panels(before, WANTED, path=Path("x.json")).after)
    assert not changes_only_what_is_meant(before, broken(before))


BOXES = st.builds(Box, x=st.integers(0, 20), y=st.integers(30, 80), w=st.integers(1, 24), h=st.integers(1, 12))
OURS = {20: Box(0, 49, 12, 8), 21: Box(12, 49, 12, 8)}


@given(others=st.lists(BOXES, max_size=6), present=st.dictionaries(st.sampled_from([20, 21]), BOXES, max_size=2))
def test_what_is_placed_never_overlaps(others: list[Box], present: dict[int, Box]) -> None:
    """Wherever the other panels are, a newly placed one lies on nothing, and nothing ever moves up."""
    layout = laid_out(OURS, present, dict(enumerate(others)), 49)
    after = [box._replace(y=layout.moved.get(n, box.y)) for n, box in enumerate(others)]
    for panel_id in OURS.keys() - present.keys():
        rest = [*after, *(box for key, box in layout.ours.items() if key != panel_id)]
        assert not any(layout.ours[panel_id].overlaps(box) for box in rest)
    assert all(new > others[n].y for n, new in layout.moved.items())
    assert present.items() <= layout.ours.items()
