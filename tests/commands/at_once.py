"""A program that has two setups work on the same files, again and again, each wanting something else.

Half of the pairs share a working directory, half have one each. No pair depends on who is faster:

- `free`: both start at the same moment. In whatever order they come, the judgement must hold; they need not meet.
- `met`: the second starts when the first has checked the files, and ends before the first writes.
- `unlocked`: the broken variant, that order without any lock; the first writes over what the second has written.

Exit codes and violations are printed as JSON.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runbook.commands import run_context
from runbook.commands.apply import steps as apply
from runbook.commands.setup import steps as setup
from runbook.errors import ExitCode
from runbook.files import file_io
from tests.commands.alone import Files
from tests.files.interrupted import MEMORY

Codes = tuple[int, int]


class Signal:
    """Comes when every process that has it has called `give`, or has ended."""

    def __init__(self) -> None:
        self._waiting, self._giving = os.pipe()

    def give(self) -> None:
        os.close(self._giving)

    def wait(self) -> None:
        os.read(self._waiting, 1)


def free(plain: Callable[[], int], absent: Callable[[], int]) -> Codes:
    """Exit codes of two setups that start at the same moment."""
    start = Signal()

    def started(setup: Callable[[], int]) -> Callable[[], int]:
        def action() -> int:
            start.give()
            start.wait()
            return setup()

        return action

    return ended(started(plain), started(absent), start)


def met(plain: Callable[[], int], absent: Callable[[], int]) -> Codes:
    """Exit codes where the second comes when the first has checked the files and not yet written."""
    checked, over = Signal(), Signal()

    def first() -> int:
        over.give()
        entered = vars(file_io)["entered"]

        def held(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the one it stands for
            checked.give()
            over.wait()
            return entered(*arguments, **options)

        vars(file_io)["entered"] = held
        return plain()

    def second() -> int:
        checked.give()
        checked.wait()
        return absent()

    return ended(first, second, checked, over)


def ended(first: Callable[[], int], second: Callable[[], int], *signals: Signal) -> Codes:
    """Exit codes of two actions in processes of their own."""
    children = []
    for action in (first, second):
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = action()
            finally:
                os._exit(code)
        children.append(child)
    for one in signals:
        one.give()
    plain, absent = (os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    return plain, absent


def judged(codes: Codes, files: Files) -> str:
    """Say what is wrong: an exit code that promises too much, or a change that is not there."""
    plain, absent = codes
    if not {plain, absent} <= {ExitCode.OK, ExitCode.LOCKED} or ExitCode.OK not in codes:
        return f"exit codes {codes}"
    wrong = files.wrong([files.after(with_absent_alert=absent == ExitCode.OK)])
    return f"{codes}, and {wrong}" if wrong else ""


def take_the_locks_away() -> None:
    @contextmanager
    def nothing(*_: Any, **__: Any) -> Iterator[tuple[()]]:  # noqa: ANN401 - of every lock
        yield ()

    for module in (setup, apply, run_context):
        for name in {"target_lock", "files_lock"} & set(vars(module)):
            setattr(module, name, nothing)


def main(pairs: str, variant: str) -> None:
    if variant == "unlocked":
        take_the_locks_away()
    order = free if variant == "free" else met
    seen, violations = [], []
    for number in range(int(pairs)):
        with TemporaryDirectory(dir=MEMORY) as folder:
            files = Files(Path(folder))
            one, other = Path(folder) / "a", Path(folder) / ("a" if number % 2 else "b")
            codes = order(
                lambda: files.set_up(one).exit_code,  # noqa: B023 - it is run at once
                lambda: files.set_up(other, with_absent_alert=True).exit_code,  # noqa: B023 - the same
            )
            violations += [wrong] if (wrong := judged(codes, files)) else []
            seen.append(codes)
    sys.stdout.write(json.dumps({"codes": seen, "violations": violations}))


if __name__ == "__main__":
    main(*sys.argv[1:])
