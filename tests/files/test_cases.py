"""Every situation of tests/cases: a file before, and the file after or the refusal."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook.errors import DocumentError
from runbook.files.compare import Datasource
from runbook.files.desired import WantedPanels, wanted_rules
from runbook.files.file_change import FileChange
from runbook.files.panels import plan_panels
from runbook.files.rules import plan_rules
from runbook.files.yaml_text import LOADER

CASES = Path(__file__).resolve().parents[1] / "cases"
SMALL_PANELS = WantedPanels(
    panels=(
        {
            "id": 20,
            "title": "By topic",
            "datasource": {"type": "prometheus", "uid": "u1"},
            "gridPos": {"x": 0, "y": 49, "w": 12, "h": 8},
            "targets": [{"expr": "a"}],
        },
        {
            "id": 21,
            "title": "By tenant",
            "gridPos": {"x": 12, "y": 49, "w": 12, "h": 8},
            "targets": [{"expr": "b"}],
        },
    ),
    datasource=Datasource(uid="u1"),
)


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def file_bytes(case: dict[str, Any], text: str) -> bytes:
    """The bytes that a case means: its text with the line ends, mark and last newline that it names."""
    if not case.get("final_newline", True):
        text = text.removesuffix("\n")
    if case.get("crlf"):
        text = text.replace("\n", "\r\n")
    return text.encode("utf-8")


def planned(path: Path, case: dict[str, Any], raw: bytes) -> FileChange:
    name = Path(path.name)
    if path.parent.name == "rules":
        wanted = wanted_rules(with_absent_alert=case.get("absent", False))
        return plan_rules(raw, wanted, path=name, move_alert=case.get("move", False))
    return plan_panels(
        raw,
        SMALL_PANELS,
        path=name,
        strip_bom=case.get("strip_bom", False),
        renumber=case.get("renumber", False),
    )


@pytest.mark.parametrize("path", sorted(CASES.glob("*/*.yaml")), ids=named)
def test_situation(path: Path) -> None:
    """The plan of each case is what its file says, and planning its result again changes no byte."""
    case = yaml.load(path.read_bytes(), Loader=LOADER)  # noqa: S506 - a safe loader
    mark = b"\xef\xbb\xbf" if case.get("bom") else b""
    raw = mark + file_bytes(case, case["before"])

    if "error" in case:
        with pytest.raises(DocumentError) as refused:
            planned(path, case, raw)
        for part, expected in case["error"].items():
            assert expected in getattr(refused.value, part)
        return

    plan = planned(path, case, raw)
    after = file_bytes(case, case.get("after", case["before"]))
    assert plan.after.decode() == ((b"" if case.get("strip_bom") else mark) + after).decode()
    assert case.get("reason", "") in plan.reason
    assert len(plan.notes) >= len(case.get("notes", []))
    for note in case.get("notes", []):
        assert any(note in found for found in plan.notes)
    again = planned(path, case, plan.after)
    assert again.after == plan.after
    assert again.is_empty
