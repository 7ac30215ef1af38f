"""Faults for practice: injected into the local stack and taken back. Any other target is refused."""

from pathlib import Path

from runbook.model import TaskResult
from runbook.observer import Observer
from runbook.settings import LOCAL
from runbook.stack import faults
from runbook.stack.commands import ended
from runbook.steps.frame import Done, Frame
from runbook.steps.unrecorded import Unrecorded


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
