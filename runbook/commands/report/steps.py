"""The task `report`: which run, and where its report goes."""

from pathlib import Path

from runbook.commands.report.html import write_report
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError
from runbook.model import TaskResult
from runbook.observer import Observer
from runbook.runs.null_run import NullRun
from runbook.runs.run_log import RunLog, all_runs, open_run


def report(state_dir: Path, *, run_id: str | None, output: Path | None, observer: Observer) -> TaskResult:
    """Write the report of the run `run_id`, or of the newest one that has a result."""
    task_run = TaskRun("report", target="", record=NullRun(), observer=observer)

    def written() -> StepOutput[None]:
        record = open_run(state_dir, run_id) if run_id else _newest(state_dir)
        path = write_report(record, output or record.folder)
        return StepOutput(value=None, outcome="ok", reason=f"run {record.run_id}: {path}")

    try:
        task_run.step("report", 6, written)
    except RunbookError as error:
        return task_run.failure(error)
    return task_run.result("ok", ExitCode.OK)


def _newest(state_dir: Path) -> RunLog:
    for record in reversed(all_runs(state_dir)):
        if record.events("result"):
            return record
    raise RunbookError("There is no finished run yet", where=str(state_dir / "runs"), fix="inv run, or inv demo")
