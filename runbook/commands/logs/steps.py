"""The sink's lines, as `docker logs` shows them, from whatever runs the sink."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from runbook.commands.logs.options import LogsOptions
from runbook.commands.logs.result import LogsResult
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.durations import parsed_since
from runbook.errors import ExitCode, RunbookError, UsageError
from runbook.model import Evidence, Line
from runbook.settings import Target
from runbook.systems.runtime import LogLine, Runtime, Service

STEP = 5
TAIL = 20  # the runbook's own
MOST_LINES = 100_000


def logs(context: RunContext, options: LogsOptions) -> LogsResult:
    """Show the sink's lines since a time, or the last ones; with `follow`, go on until Ctrl-C.

    Raises UsageError for a senseless `since` or `tail`.
    """
    start, count = _start(options.since), _count(options.tail, options.since)
    if options.follow and (options.json or options.tail is not None):
        other = "--json" if options.json else "--tail"
        fix = f"leave {other} out; --since says from when on"
        raise UsageError(f"--follow does not go with {other}", where="option --follow", fix=fix)
    if options.follow:
        for line in followed(context, start):
            context.screen.shows_line(line)
    task_run = TaskRun("logs", context)
    try:
        lines = task_run.step("logs", STEP, lambda: _read(context.target, context.runtime, start, count))
    except RunbookError as error:
        return task_run.failure(LogsResult, error)
    return replace(task_run.result(LogsResult, "ok", ExitCode.OK), lines=lines)


def followed(context: RunContext, since: datetime | None) -> Iterator[Line]:
    """Yield the sink's lines as they come, until the caller stops; those since a time first."""
    service = _service(context.target)
    _found(context.runtime, service)
    return (_line(line) for line in context.runtime.follow(service, since=since))


def _read(target: Target, runtime: Runtime, since: datetime | None, tail: int | None) -> StepOutput[tuple[Line, ...]]:
    service = _service(target)
    evidence = _found(runtime, service)
    lines = tuple(_line(line) for line in runtime.log(service, since=since, tail=tail))
    return StepOutput(value=lines, outcome="ok", reason=f"lines: {len(lines)}", evidence=(evidence,))


def _found(runtime: Runtime, service: Service) -> Evidence:
    """Return the state of the service; one that has exited still has a log."""
    state = runtime.state(service)
    if not state.found:
        nearest = f"; nearest: {', '.join(state.nearest)}" if state.nearest else ""
        raise RunbookError(
            f"There is no service {service.name}{nearest}",
            where=runtime.log_command(service),
            fix=runtime.start_command(service),
        )
    return Evidence(source=runtime.log_command(service), saw=f"{state.name} is {state.status}")


def _service(target: Target) -> Service:
    return target.sink.as_service


def _line(line: LogLine) -> Line:
    return Line(text=line.text, at=line.at)


def _start(since: str | None) -> datetime | None:
    return parsed_since(since, now=datetime.now(UTC)) if since else None


def _count(tail: int | None, since: str | None) -> int | None:
    if tail is None:
        return None if since else TAIL
    if not 0 < tail <= MOST_LINES:
        raise UsageError(f"--tail is {tail}", where="option --tail", fix=f"choose 1 to {MOST_LINES}")
    return tail
