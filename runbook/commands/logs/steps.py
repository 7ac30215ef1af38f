"""The sink's lines, as `docker logs` shows them, from whatever runs the sink."""

from collections.abc import Iterator
from datetime import UTC, datetime

from runbook.commands.task_run import StepOutput, TaskRun
from runbook.durations import parsed_since
from runbook.errors import ExitCode, RunbookError, UsageError
from runbook.listings import Line, Listing
from runbook.model import Evidence, TaskResult
from runbook.observer import Observer
from runbook.runs.run_log import RunLog
from runbook.settings import Target
from runbook.systems.runtime import LogLine, Runtime, Service

STEP = 5
TAIL = 20  # the runbook's own
MOST_LINES = 100_000


def logs(
    target: Target,
    runtime: Runtime,
    *,
    record: RunLog,
    observer: Observer,
    since: str | None = None,
    tail: int | None = None,
) -> TaskResult:
    """Return the sink's lines since a time, or the last ones. Raises UsageError for a senseless `since` or `tail`."""
    start = _start(since)
    count = _count(tail, since)
    task_run = TaskRun("logs", target=target.name, record=record, observer=observer)
    try:
        lines = task_run.step("logs", STEP, lambda: _read(target, runtime, start, count))
    except RunbookError as error:
        return task_run.failure(error)
    return Listing.of(task_run.result("ok", ExitCode.OK), lines=lines)


def followed(target: Target, runtime: Runtime, *, since: str | None = None) -> Iterator[Line]:
    """Yield the sink's lines as they come, until the caller stops; those since a time first."""
    service = _service(target)
    start = _start(since)
    _found(runtime, service)
    return (_line(line) for line in runtime.follow(service, since=start))


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
    return Service(name=target.sink.service, container=target.sink.container)


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
