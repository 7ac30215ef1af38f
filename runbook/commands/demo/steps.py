"""The demo: the whole runbook on a local stack that lives as long as the demo."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbook.commands.stack.steps import SCRAPE_NOTE
from runbook.commands.task_run import Done, Frame
from runbook.interrupts import uninterrupted
from runbook.local_stack import stack
from runbook.observer import Observer
from runbook.runs.run_log import Record


@contextmanager
def demo_stack(directory: Path, *, record: Record, observer: Observer, keep: bool) -> Iterator[None]:
    """Have a local stack up inside the block. One that was up before is used, and left up."""
    was_up = bool(stack.status(directory))
    frame = Frame("demo", target="local", record=record, observer=observer)
    try:
        frame.step("local stack", 0, lambda: _up(directory, record, observer))
        yield
    finally:
        if keep or was_up:
            observer.says("the local stack stays up: inv stack.status, inv stack.down")
        else:
            with uninterrupted():
                stack.down(directory, observer)


def _up(directory: Path, record: Record, observer: Observer) -> Done[None]:
    parts = stack.up(directory, observer)
    record.append("stack", {"parts": list(parts)})
    real = [part.plays for part in parts if part.kind == "real"]
    played = [part.plays for part in parts if part.kind != "real"]
    reason = f"real: {', '.join(real)}; stand-ins: {', '.join(played)}; {SCRAPE_NOTE}"
    return Done(value=None, outcome="ok", reason=reason)
