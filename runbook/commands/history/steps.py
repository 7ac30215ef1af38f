"""The runs so far, newest first; a run that cannot be relied on is shown as such, not hidden."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from runbook.commands.history.options import HistoryOptions
from runbook.commands.history.result import HistoryResult, PastRun
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError
from runbook.runs.run_history import all_runs
from runbook.runs.run_log import RESULT, RunEvent, RunLog


def history(context: RunContext, options: HistoryOptions) -> HistoryResult:
    """List the newest runs on every target, or all."""
    task_run = TaskRun("history", context)
    run_logs = all_runs(context.state_dir)[::-1]
    listed = run_logs if options.all_ else run_logs[: options.last]

    def read() -> StepOutput[tuple[PastRun, ...]]:
        runs = tuple(_run(run_log) for run_log in listed)
        broken = sum(run.record == "broken" for run in runs)
        newest = f"the newest {len(runs)} of " if len(runs) < len(run_logs) else ""
        damaged = f", {broken} of them damaged" if broken else ""
        reason = f"runs on every target in {context.state_dir}: {newest}{len(run_logs)}{damaged}"
        return StepOutput(value=runs, outcome="ok", reason=reason)

    runs = task_run.step("history", 0, read)
    result = task_run.result(HistoryResult, "ok", ExitCode.OK)
    return replace(result, runs=runs, older=len(run_logs) - len(listed))


def _run(run_log: RunLog) -> PastRun:
    try:
        events = run_log.events()
    except RunbookError as error:
        return PastRun(run_id=run_log.run_id, record="broken", note=f"{error.seen} ({error.where})")
    results = [event.data for event in events if event.kind == RESULT]
    return _finished(run_log.run_id, events[0], results[-1]) if results else _unfinished(run_log.run_id, events)


def _finished(run_id: str, begin: RunEvent, result: dict[str, Any]) -> PastRun:
    return PastRun(
        run_id=run_id,
        record="finished",
        task=str(begin.data.get("task", "")),
        target=str(begin.data.get("target", "")),
        outcome=str(result.get("outcome", "")),
        started_at=begin.at,
        duration_s=_duration(begin.at, result),
    )


def _unfinished(run_id: str, events: tuple[RunEvent, ...]) -> PastRun:
    begin = events[0]
    return PastRun(
        run_id=run_id,
        record="unfinished",
        task=str(begin.data.get("task", "")),
        target=str(begin.data.get("target", "")),
        started_at=begin.at,
        note=f"No result: still at work, or interrupted; its last event is {events[-1].kind!r}",
    )


def _duration(began: datetime, result: dict[str, Any]) -> float:
    """Return the seconds from the beginning of the run to the end of its last task."""
    ended = datetime.fromisoformat(result["started_at"]).timestamp() + float(result["duration_s"])
    return max(0.0, ended - began.timestamp())
