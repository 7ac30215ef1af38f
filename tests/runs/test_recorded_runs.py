"""Runs that version 0.1 recorded stay readable: a demo, a traffic run that was killed, and a rollback."""

import shutil
from pathlib import Path

import pytest

from runbook.commands.report.html import write_report
from runbook.conservation.traffic_run import traffic_run
from runbook.runs.run_history import all_runs, newest_change, open_run
from runbook.runs.run_log import RunLog

RECORDED = Path(__file__).parent / "recorded"
DEMO, KILLED, ROLLBACK = "20261127-204048-c7ae", "20261127-204117-938c", "20261127-204126-07ba"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    shutil.copytree(RECORDED, tmp_path / "runs")
    return tmp_path


def test_every_event_is_read(state_dir: Path) -> None:
    found = {run_log.run_id: run_log for run_log in all_runs(state_dir)}

    assert {run_id: (one.task, one.target, len(one.events())) for run_id, one in found.items()} == {
        DEMO: ("demo", "local", 35),
        KILLED: ("traffic", "local", 9),
        ROLLBACK: ("rollback", "local", 13),
    }


def test_their_traffic_can_be_verified(state_dir: Path) -> None:
    demo, killed = (traffic_run(state_dir, target="local", run_id=run_id) for run_id in (DEMO, KILLED))

    assert (demo.wanted, [one.kind for one in demo.created]) == (3, ["lead", "lead", "job"])
    assert (killed.wanted, [one.id for one in killed.created]) == (45, [1, 2, 3, 4])
    assert killed.baseline.end_offsets is not None
    assert traffic_run(state_dir, target="local", run_id=None).run_id == KILLED


def test_their_changes_can_be_put_back(state_dir: Path) -> None:
    found = newest_change(state_dir, lambda _: True, target="local").run_log

    assert found is not None
    assert found.run_id == DEMO
    for run_id in (DEMO, ROLLBACK):
        run_log = open_run(state_dir, run_id)
        for event in run_log.events("replaces"):
            path = Path(event.data["file"])
            assert run_log.backup(path, event.data["before"]) != run_log.backup(path, event.data["after"])


@pytest.mark.parametrize("run_id", [DEMO, KILLED, ROLLBACK])
def test_their_report_can_be_written(state_dir: Path, run_id: str) -> None:
    page = write_report(open_run(state_dir, run_id), state_dir).read_text("utf-8")

    assert run_id in page


def test_one_of_them_can_go_on(state_dir: Path) -> None:
    """As a run does that an upgrade of the tool overtook."""
    open_run(state_dir, KILLED).append("note", {})

    events = RunLog(state_dir / "runs" / KILLED).events()
    assert [event.kind for event in events[-2:]] == ["created", "note"]
