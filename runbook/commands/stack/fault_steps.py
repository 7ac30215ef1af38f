"""Faults for practice: injected into the local stack and taken back. Any other target is refused."""

from pathlib import Path

from runbook.commands.stack.steps import ended
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.local_stack import fault_injection as faults
from runbook.model import TaskResult
from runbook.observer import Observer
from runbook.runs.null_run import NullRun
from runbook.settings import LOCAL


def stack_break(directory: Path, code: str, *, target: str, observer: Observer) -> TaskResult:
    """Inject a fault; any target but the local stack is refused."""
    task_run = TaskRun("stack.break", target=LOCAL, record=NullRun(), observer=observer)

    def work() -> StepOutput[None]:
        return StepOutput(value=None, outcome="changed", reason=faults.break_stack(directory, code, target=target))

    return ended(task_run, f"break {code}", work)


def stack_mend(directory: Path, *, observer: Observer) -> TaskResult:
    """Take the injected fault back."""
    task_run = TaskRun("stack.mend", target=LOCAL, record=NullRun(), observer=observer)

    def work() -> StepOutput[None]:
        return StepOutput(value=None, outcome="changed", reason=", ".join(faults.mend_stack(directory, observer)))

    return ended(task_run, "mend", work)
