"""The demo: the whole runbook on a local stack that lives as long as the demo."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbook.commands.stack.steps import SCRAPE_NOTE
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.interrupts import uninterrupted
from runbook.local_stack import stack
from runbook.observer import Observer
from runbook.runs.run_log import RunLog


@contextmanager
def demo_stack(directory: Path, *, record: RunLog, observer: Observer, keep: bool) -> Iterator[None]:
    """Have a local stack up inside the block. One that was up before is used, and left up."""
    was_up = bool(stack.status(directory))
    task_run = TaskRun("demo", target="local", record=record, observer=observer)
    try:
        task_run.step("local stack", 0, lambda: _up(directory, record, observer))
        yield
    finally:
        if keep or was_up:
            observer.says("the local stack stays up: inv stack.status, inv stack.down")
        else:
            with uninterrupted():
                stack.down(directory, observer)


def _up(directory: Path, record: RunLog, observer: Observer) -> StepOutput[None]:
    parts = stack.up(directory, observer)
    record.append("stack", {"parts": list(parts)})
    real = [part.plays for part in parts if part.kind == "real"]
    played = [part.plays for part in parts if part.kind != "real"]
    reason = f"real: {', '.join(real)}; stand-ins: {', '.join(played)}; {SCRAPE_NOTE}"
    return StepOutput(value=None, outcome="ok", reason=reason)
