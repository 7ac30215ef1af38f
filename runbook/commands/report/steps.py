"""The task `report`: which run, and where its report goes."""

from pathlib import Path

from runbook.commands.report.html import write_report
from runbook.commands.task_run import Done, Frame
from runbook.errors import ExitCode, RunbookError
from runbook.model import TaskResult
from runbook.observer import Observer
from runbook.runs.null_run import Unrecorded
from runbook.runs.run_log import Record, all_records, open_record


def report(state_dir: Path, *, run_id: str | None, output: Path | None, observer: Observer) -> TaskResult:
    """Write the report of the run `run_id`, or of the newest one that has a result."""
    frame = Frame("report", target="", record=Unrecorded(), observer=observer)

    def written() -> Done[None]:
        record = open_record(state_dir, run_id) if run_id else _newest(state_dir)
        path = write_report(record, output or record.folder)
        return Done(value=None, outcome="ok", reason=f"run {record.run_id}: {path}")

    try:
        frame.step("report", 6, written)
    except RunbookError as error:
        return frame.failure(error)
    return frame.result("ok", ExitCode.OK)


def _newest(state_dir: Path) -> Record:
    for record in reversed(all_records(state_dir)):
        if record.events("result"):
            return record
    raise RunbookError("There is no finished run yet", where=str(state_dir / "runs"), fix="inv run, or inv demo")
