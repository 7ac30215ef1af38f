"""Ctrl-C and SIGTERM: one exception, exit code 130, and short stretches that must not be cut in two."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from runbook.errors import ExitCode
from runbook.platforms import END_SIGNALS

_lost: list[BaseException] = []
_blocks: list[object] = []
"""The blocks that must not be interrupted now."""


class Interrupted(SystemExit):
    """The operator pressed Ctrl-C, or the process was asked to end.

    A SystemExit, because Invoke turns a KeyboardInterrupt into exit code 1. An exit, not an error: what catches it
    cleans up and raises it again.
    """

    def __init__(self) -> None:
        """Carry the exit code of an interrupt."""
        super().__init__(int(ExitCode.INTERRUPTED))


def become_interruptible() -> None:
    """From now on, SIGINT and SIGTERM raise Interrupted in the main thread.

    One that comes while Python runs a finalizer is ignored by Python: it is kept, and raised by `raise_if_interrupted`.
    """
    for number in END_SIGNALS:
        signal.signal(number, _interrupt)
    sys.unraisablehook = _keep_interrupt


def raise_if_interrupted() -> None:
    """Raise an Interrupted that got lost in a finalizer. Called between steps, and while something is waited for.

    Within a block that must not be interrupted it is held back as a signal would be.
    """
    if _lost and not _blocks:
        _lost.clear()
        raise Interrupted


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block has ended: for writes and clean-up, never for waiting.

    What was held back is then delivered to whoever handles it outside: an outer block of this kind holds it on. An
    error of the block goes first. Other threads than the main one are never interrupted by a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = {number: signal.signal(number, lambda signum, _frame: held.append(signum)) for number in END_SIGNALS}
    _blocks.append(held)
    try:
        yield
    finally:
        _blocks.pop()
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise Interrupted


def _keep_interrupt(seen: "sys.UnraisableHookArgs") -> None:
    if isinstance(seen.exc_value, Interrupted):
        _lost.append(seen.exc_value)
    else:
        sys.__unraisablehook__(seen)
