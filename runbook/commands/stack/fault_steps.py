"""Faults for practice: injected into the local stack and taken back. Any other target is refused."""

from pathlib import Path

from runbook.commands.stack.steps import ended
from runbook.commands.task_run import Done, Frame
from runbook.local_stack import fault_injection as faults
from runbook.model import TaskResult
from runbook.observer import Observer
from runbook.runs.null_run import Unrecorded
from runbook.settings import LOCAL


def stack_break(directory: Path, code: str, *, target: str, observer: Observer) -> TaskResult:
    """Inject a fault; any target but the local stack is refused."""
    frame = Frame("stack.break", target=LOCAL, record=Unrecorded(), observer=observer)

    def work() -> Done[None]:
        return Done(value=None, outcome="changed", reason=faults.break_stack(directory, code, target=target))

    return ended(frame, f"break {code}", work)


def stack_mend(directory: Path, *, observer: Observer) -> TaskResult:
    """Take the injected fault back."""
    frame = Frame("stack.mend", target=LOCAL, record=Unrecorded(), observer=observer)

    def work() -> Done[None]:
        return Done(value=None, outcome="changed", reason=", ".join(faults.mend_stack(directory, observer)))

    return ended(frame, "mend", work)
