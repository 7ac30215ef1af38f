"""The tasks of the local stack as results: what came up, and what runs."""

from collections.abc import Callable
from pathlib import Path

from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError, UsageError
from runbook.invocation import inv
from runbook.listings import Listing, Part
from runbook.local_stack import docker_stack, stack
from runbook.local_stack.real import all_there_is, wanted_real
from runbook.model import TaskResult
from runbook.observer import Observer
from runbook.runs.null_run import NullRun
from runbook.settings import DOCKER, LOCAL

SCRAPE_NOTE = "scrape and evaluation every 2 s here, 10 s in a real installation"


def stack_up(directory: Path, *, observer: Observer, real: str = "", everything: bool = False) -> TaskResult:
    """Start the stack, or what is missing of it; `real` names real programs, `everything` means all there are."""

    def work() -> StepOutput[tuple[Part, ...]]:
        names = wanted_real(real) if real else frozenset()
        parts = stack.up(directory, observer, real=names | (all_there_is(observer.says) if everything else frozenset()))
        return StepOutput(value=parts, outcome="ok", reason=f"{len(parts)} parts are up; {SCRAPE_NOTE}")

    return _listed("stack.up", observer, work)


def containers_up(directory: Path, *, observer: Observer, real: str = "", everything: bool = False) -> TaskResult:
    """Start the stack in containers; `real` and `everything` are refused, for there the images decide."""
    task_run = TaskRun("stack.up", target=DOCKER, record=NullRun(), observer=observer)

    def work() -> StepOutput[None]:
        if real or everything:
            raise UsageError(
                "--with and --real choose programs of the stack without Docker; in containers the images decide",
                where=f"option --docker beside {'--with' if real else '--real'}",
                fix=f"name the image: KAFKA_IMAGE=IMAGE {inv('stack.up --docker')}; see docs/DOCKER.md, Images",
            )
        path = docker_stack.up(directory, observer)
        return StepOutput(value=None, outcome="changed", reason=f"target {DOCKER} is up, see {path}")

    return ended(task_run, "stack.up", work)


def containers_down(directory: Path, *, observer: Observer) -> TaskResult:
    """Remove the stack's containers, networks and volumes."""
    task_run = TaskRun("stack.down", target=DOCKER, record=NullRun(), observer=observer)

    def work() -> StepOutput[None]:
        has_run = docker_stack.down(directory, observer)
        return StepOutput(
            value=None, outcome="changed" if has_run else "unchanged", reason="no container of it is left"
        )

    return ended(task_run, "stack.down", work)


def stack_status(directory: Path, *, observer: Observer) -> TaskResult:
    """Show every part; exit code 1 when one of them does not run."""

    def work() -> StepOutput[tuple[Part, ...]]:
        parts = stack.status(directory)
        if not parts:
            raise UsageError("The local stack is not up", where=str(directory), fix="inv stack.up")
        down = [part.name for part in parts if not part.running]
        reason = f"not running: {', '.join(down)}" if down else f"{len(parts)} parts run; {SCRAPE_NOTE}"
        return StepOutput(value=parts, outcome="failed" if down else "ok", reason=reason)

    return _listed("stack.status", observer, work)


def containers_status(directory: Path, *, observer: Observer) -> TaskResult:
    """Show every container; exit code 1 when one of them does not run, or is missing."""

    def work() -> StepOutput[tuple[Part, ...]]:
        parts = docker_stack.status(directory)
        if not parts:
            raise UsageError("The stack in containers is not up", where=str(directory), fix="inv stack.up --docker")
        running = {part.name for part in parts if part.running}
        down = [name for name in docker_stack.services(directory) if name not in running]
        reason = f"not running: {', '.join(down)}" if down else f"{len(parts)} containers run"
        return StepOutput(value=parts, outcome="failed" if down else "ok", reason=reason)

    return _listed("stack.status", observer, work, target=DOCKER)


def stack_down(directory: Path, *, observer: Observer) -> TaskResult:
    """End everything that belongs to the stack."""
    task_run = TaskRun("stack.down", target=LOCAL, record=NullRun(), observer=observer)

    def work() -> StepOutput[None]:
        has_run = stack.down(directory, observer)
        return StepOutput(value=None, outcome="changed" if has_run else "unchanged", reason="nothing of the stack runs")

    return ended(task_run, "stack.down", work)


def _listed(
    task: str, observer: Observer, work: Callable[[], StepOutput[tuple[Part, ...]]], *, target: str = LOCAL
) -> TaskResult:
    task_run = TaskRun(task, target=target, record=NullRun(), observer=observer)
    try:
        parts = task_run.step(task, 0, work)
    except RunbookError as error:
        return task_run.failure(error)
    is_well = task_run.steps[-1].outcome != "failed"
    result = task_run.result("ok" if is_well else "failed", ExitCode.OK if is_well else ExitCode.PROBLEM)
    return Listing.of(result, parts=parts)


def ended(task_run: TaskRun, step: str, work: Callable[[], StepOutput[None]]) -> TaskResult:
    """Return the result of a task of one step."""
    try:
        task_run.step(step, 0, work)
    except RunbookError as error:
        return task_run.failure(error)
    outcome = task_run.steps[-1].outcome
    return task_run.result(outcome, ExitCode.OK)
