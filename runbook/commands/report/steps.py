"""The task `report`: which run, and where its report goes."""

from runbook.commands.report.html import write_report
from runbook.commands.report.options import ReportOptions
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError
from runbook.invocation import inv
from runbook.model import CommandResult
from runbook.runs.run_history import holds, newest_run, open_run
from runbook.runs.run_log import RESULT, RunLog


def report(context: RunContext, options: ReportOptions) -> CommandResult:
    """Write the report of a run, or of the newest one that has a result."""
    task_run = TaskRun("report", context)

    def written() -> StepOutput[None]:
        run_log = open_run(context.state_dir, options.run_id) if options.run_id else _newest(context)
        path = write_report(run_log, options.output or run_log.folder)
        return StepOutput(value=None, outcome="ok", reason=f"run {run_log.run_id}: {path}")

    try:
        task_run.step("report", 6, written)
    except RunbookError as error:
        return task_run.failure(CommandResult, error)
    return task_run.result(CommandResult, "ok", ExitCode.OK)


def _newest(context: RunContext) -> RunLog:
    found = newest_run(context.state_dir, holds(RESULT))
    for damaged in found.passed_over:
        context.screen.says(str(damaged))
    if found.run_log is None:
        where = str(context.state_dir / "runs")
        raise RunbookError("There is no finished run yet", where=where, fix=f"{inv('run')}, or {inv('demo')}")
    return found.run_log
