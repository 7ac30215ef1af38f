"""The runs so far, newest first; a record that cannot be trusted is shown as such, not hidden."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from runbook.commands.history.options import HistoryOptions
from runbook.commands.history.result import HistoryResult, PastRun
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError
from runbook.runs.run_log import RunEvent, RunLog, all_runs


def history(context: RunContext, _options: HistoryOptions) -> HistoryResult:
    """List the runs on every target."""
    task_run = TaskRun("history", context)

    def read() -> StepOutput[tuple[PastRun, ...]]:
        runs = tuple(_run(run_log) for run_log in reversed(all_runs(context.state_dir)))
        broken = sum(run.record == "broken" for run in runs)
        reason = f"runs in {context.state_dir}: {len(runs)}" + (f", {broken} of them damaged" if broken else "")
        return StepOutput(value=runs, outcome="ok", reason=reason)

    runs = task_run.step("history", 0, read)
    return replace(task_run.result(HistoryResult, "ok", ExitCode.OK), runs=runs)


def _run(record: RunLog) -> PastRun:
    try:
        events = record.events()
    except RunbookError as error:
        return PastRun(run_id=record.run_id, record="broken", note=f"{error.seen} ({error.where})")
    except OSError as error:
        return PastRun(run_id=record.run_id, record="broken", note=f"It cannot be read: {error}")
    if not events or events[0].kind != "begin":
        return PastRun(run_id=record.run_id, record="broken", note="It does not hold the beginning of a run")
    results = [event.data for event in events if event.kind == "result"]
    return _finished(record.run_id, events[0], results[-1]) if results else _unfinished(record.run_id, events)


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
