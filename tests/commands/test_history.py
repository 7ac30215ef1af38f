"""The runs so far, from real records; a broken one is listed as broken."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from schema import validate

from runbook.commands.history.options import HistoryOptions
from runbook.commands.history.result import PastRun
from runbook.commands.history.steps import history
from runbook.commands.run_context import RunContext
from runbook.console import document
from runbook.model import CommandResult
from runbook.observer import NullObserver
from runbook.runs.run_log import RunLog, all_runs, begin_run
from runbook.settings import STATE_DIR


def result(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of a CommandResult
    fields = {
        "task": "verify",
        "target": "live",
        "run_id": "r",
        "started_at": datetime.now(UTC),
        "duration_s": 2.5,
        "outcome": "ok",
        "exit_code": 0,
        "steps": (),
    }
    return document(CommandResult(**(fields | changes)))


def runs(folder: Path) -> dict[str, PastRun]:
    context = RunContext("history", screen=NullObserver(), directory=folder, is_recorded=False)
    found = history(context, HistoryOptions())
    validate(document(found))
    assert found.runs is not None
    return {run.run_id: run for run in found.runs}


@pytest.fixture
def record(tmp_path: Path) -> RunLog:
    return begin_run(tmp_path / STATE_DIR, task="run", target="live")


def test_no_runs(tmp_path: Path) -> None:
    assert runs(tmp_path) == {}


def test_a_finished_run(tmp_path: Path, record: RunLog) -> None:
    """The last of its results is its outcome, and it took until that one had ended."""
    record.append("result", result(task="traffic", outcome="changed"))
    record.append("result", result(outcome="failed", exit_code=1))

    run = runs(tmp_path)[record.run_id]

    assert (run.record, run.task, run.target, run.outcome) == ("finished", "run", "live", "failed")
    assert run.duration_s is not None
    assert run.duration_s >= 2.5


def test_an_unfinished_run(tmp_path: Path, record: RunLog) -> None:
    """Without a result it is still at work or was interrupted: no outcome is made up."""
    record.append("created", {"id": 1})

    run = runs(tmp_path)[record.run_id]

    assert (run.record, run.outcome, run.duration_s) == ("unfinished", "", None)
    assert "'created'" in run.note


def test_an_altered_record(tmp_path: Path, record: RunLog) -> None:
    """A failure that was edited into a success is listed as a broken record, beside the whole ones."""
    record.append("result", result(outcome="failed"))
    whole = begin_run(tmp_path / STATE_DIR, task="verify", target="live")
    whole.append("result", result())
    path = record.folder / "record.jsonl"
    path.write_text(path.read_text().replace('"failed"', '"ok"'))

    found = runs(tmp_path)

    assert (found[record.run_id].record, found[record.run_id].outcome) == ("broken", "")
    assert "altered" in found[record.run_id].note
    assert found[whole.run_id].record == "finished"


def test_a_folder_without_a_record(tmp_path: Path, record: RunLog) -> None:
    """An empty folder, and a file that does not belong there, do not hide the runs."""
    (tmp_path / STATE_DIR / "runs" / "20250101-000000-0000").mkdir()
    (tmp_path / STATE_DIR / "runs" / "notes.txt").write_text("mine")

    found = runs(tmp_path)

    assert sorted(run.record for run in found.values()) == ["broken", "broken", "unfinished"]
    assert record.run_id in found


def test_looking_leaves_no_trace(tmp_path: Path, record: RunLog) -> None:
    """Listing the runs adds none."""
    runs(tmp_path)

    assert [record.run_id] == [one.run_id for one in all_runs(tmp_path / STATE_DIR)]
