"""The diff that the operator reads: as short as the change is, also where everything below it has moved."""

import json
from pathlib import Path

from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels
from runbook.files.diff import changes
from runbook.files.panels import plan_panels


def dashboard(panels: int) -> bytes:
    """Panels in two columns, alike as panels are; panel 19 is in the middle, so half of them have to move."""
    made = [
        {
            "id": 19 if number == panels // 2 else 100 + number,
            "type": "timeseries",
            "title": f"Panel {number}",
            "gridPos": {"x": number % 2 * 12, "y": number // 2 * 8, "w": 12, "h": 8},
            "targets": [{"expr": f"rate(requests_{number}_total[5m])", "refId": "A"}],
            "fieldConfig": {"defaults": {"unit": "ops", "custom": {"drawStyle": "line", "fillOpacity": 10}}},
        }
        for number in range(panels)
    ]
    return json.dumps({"uid": "large", "panels": made}, indent=2).encode()


def test_a_panel_that_moves_is_one_line_of_the_diff() -> None:
    """Panels are alike: a diff that finds its way again at the wrong one shows each panel rewritten as the next."""
    plan = plan_panels(dashboard(100), wanted_panels(Datasource(uid="u1")), path=Path("d.json"))
    lines = plan.diff().splitlines()[2:]
    removed = [line.strip(" ,") for line in lines if line.startswith("-")]
    added = [line for line in lines if line.startswith("+")]

    moved = plan.reason.count(" moved from ")
    assert moved == 48
    assert len(removed) == moved
    assert all(line.startswith('-        "y": ') for line in removed)
    assert len(added) == moved + plan.after.count(b"\n") - plan.before.count(b"\n")


def test_a_stretch_without_any_line_of_its_own_is_compared_too() -> None:
    """Nothing to go by but repeated lines."""
    old, new = ["a\n", "b\n"] * 4, ["a\n", "b\n", "b\n"] * 3
    found = [*changes(old, new)]
    rebuilt, at = [], 0
    for a1, a2, b1, b2 in found:
        rebuilt += old[at:a1] + new[b1:b2]
        at = a2
    assert rebuilt + old[at:] == new
    assert found != [(0, len(old), 0, len(new))]
