"""The runs so far, from real records; a broken one is listed as broken."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runbook.commands.history.options import HistoryOptions
from runbook.commands.history.result import HistoryResult, PastRun
from runbook.commands.history.steps import history
from runbook.commands.history.view import views
from runbook.commands.run_context import RunContext
from runbook.console import document
from runbook.console.views import ending_view
from runbook.errors import UsageError
from runbook.model import CommandResult
from runbook.observer import NullObserver
from runbook.runs.new_run import begin_run
from runbook.runs.run_history import all_runs
from runbook.runs.run_log import RunEvent, RunLog
from runbook.settings import STATE_DIR
from tests.schema import validate


def result(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of a CommandResult
    fields: dict[str, Any] = {
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


def listed(folder: Path, **options: Any) -> HistoryResult:  # noqa: ANN401 - the fields of HistoryOptions
    context = RunContext("history", screen=NullObserver(), directory=folder, is_recorded=False)
    found = history(context, HistoryOptions(**options))
    validate(document(found))
    return found


def text(found: HistoryResult) -> str:
    console = Console(width=100, record=True, file=StringIO())
    for view in views(found):
        console.print(view)
    return console.export_text()


def runs(folder: Path) -> dict[str, PastRun]:
    return {run.run_id: run for run in listed(folder).runs or ()}


@pytest.fixture
def run_log(tmp_path: Path) -> RunLog:
    return begin_run(tmp_path / STATE_DIR, task="run", target="live")


def test_no_runs(tmp_path: Path) -> None:
    assert runs(tmp_path) == {}


def test_a_finished_run(tmp_path: Path, run_log: RunLog) -> None:
    """The last of its results is its outcome, and it took until that one had ended."""
    run_log.append("result", result(task="traffic", outcome="changed"))
    run_log.append("result", result(outcome="failed", exit_code=1))

    run = runs(tmp_path)[run_log.run_id]

    assert (run.record, run.task, run.target, run.outcome) == ("finished", "run", "live", "failed")
    assert run.duration_s is not None
    assert run.duration_s >= 2.5


def test_an_unfinished_run(tmp_path: Path, run_log: RunLog) -> None:
    """Without a result it is still at work or was interrupted: no outcome is made up."""
    run_log.append("created", {"id": 1})

    run = runs(tmp_path)[run_log.run_id]

    assert (run.record, run.outcome, run.duration_s) == ("unfinished", "", None)
    assert "'created'" in run.note


def test_an_altered_record(tmp_path: Path, run_log: RunLog) -> None:
    """A failure that was edited into a success is listed as a broken record, beside the whole ones."""
    run_log.append("result", result(outcome="failed"))
    whole = begin_run(tmp_path / STATE_DIR, task="verify", target="live")
    whole.append("result", result())
    path = run_log.folder / "record.jsonl"
    path.write_text(path.read_text().replace('"failed"', '"ok"'))

    found = runs(tmp_path)

    assert (found[run_log.run_id].record, found[run_log.run_id].outcome) == ("broken", "")
    assert "altered" in found[run_log.run_id].note
    assert found[whole.run_id].record == "finished"


def test_a_folder_without_a_record(tmp_path: Path, run_log: RunLog) -> None:
    """An empty folder does not hide the runs; a file that does not belong there is no run at all."""
    (tmp_path / STATE_DIR / "runs" / "20250101-000000-0000").mkdir()
    (tmp_path / STATE_DIR / "runs" / "notes.txt").write_text("mine")

    found = runs(tmp_path)

    assert sorted(run.record for run in found.values()) == ["broken", "unfinished"]
    assert run_log.run_id in found


def test_a_run_that_lost_its_end(tmp_path: Path, run_log: RunLog) -> None:
    """Without its last lines a finished run would look like one that was interrupted: it is told from it."""
    run_log.append("result", result())
    path = run_log.folder / "record.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])

    run = runs(tmp_path)[run_log.run_id]

    assert run.record == "broken"
    assert run.note == f"The end of the run record is missing: 1 of 2 lines are left ({path})"


def test_only_the_newest_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    begun = [begin_run(tmp_path / STATE_DIR, task="verify", target="live").run_id for _ in range(23)]

    few, usual, every = listed(tmp_path, last=2), listed(tmp_path), listed(tmp_path, all_=True)

    assert [run.run_id for run in few.runs or ()] == [begun[-1], begun[-2]]
    assert [(len(one.runs or ()), one.older) for one in (few, usual, every)] == [(2, 21), (20, 3), (23, 0)]
    assert few.steps[0].reason == f"runs on every target in {tmp_path / STATE_DIR}: the newest 2 of 23"
    assert "21 older runs: inv history --all" in text(few)
    assert "older" not in text(every)
    with pytest.raises(UsageError, match="--last is 0"):
        HistoryOptions(last=0)


def test_older_runs_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand of them cost no more than a look into their folder."""
    for _ in range(5):
        begin_run(tmp_path / STATE_DIR, task="verify", target="live")
    read: list[str] = []
    events = RunLog.events

    def counted(run_log: RunLog, kind: str | None = None) -> tuple[RunEvent, ...]:
        read.append(run_log.run_id)
        return events(run_log, kind)

    monkeypatch.setattr(RunLog, "events", counted)

    found = listed(tmp_path, last=2)

    assert read == [run.run_id for run in found.runs or ()]
    assert len(read) == 2


def test_looking_leaves_no_trace(tmp_path: Path, run_log: RunLog) -> None:
    """Listing the runs adds none."""
    runs(tmp_path)

    assert [run_log.run_id] == [one.run_id for one in all_runs(tmp_path / STATE_DIR)]


@pytest.mark.parametrize(("task", "said"), [("history", "history: ok"), ("setup", "setup on live: ok")])
def test_the_last_line_names_no_target_where_the_runs_of_every_target_are_read(task: str, said: str) -> None:
    """The line "history on live" named a target that may have no run at all."""
    result = CommandResult(
        task=task,
        target="live",
        run_id="",
        started_at=datetime.now(UTC),
        duration_s=1.0,
        outcome="ok",
        exit_code=0,
        steps=(),
    )

    assert str(ending_view(result, run_folder="")).startswith(said)
