"""Ctrl-C and SIGTERM: one exception, exit code 130, and short stretches that must not be cut in two."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from runbook.errors import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(SystemExit):  # noqa: N818 - an exit, not an error: `finally` cleans up, nothing handles it
    """The operator pressed Ctrl-C, or the process was asked to end.

    A SystemExit, because Invoke turns a KeyboardInterrupt into exit code 1.
    """

    def __init__(self) -> None:
        """Carry the exit code of an interrupt."""
        super().__init__(int(ExitCode.INTERRUPTED))


def become_interruptible() -> None:
    """From now on, SIGINT and SIGTERM raise Interrupted in the main thread."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block has ended: for writes and clean-up, never for waiting."""
    held: list[int] = []
    before = {number: signal.signal(number, lambda signum, _frame: held.append(signum)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        raise Interrupted


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise Interrupted
