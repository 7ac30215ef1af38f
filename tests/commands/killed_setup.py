"""A program that kills setup at every system call that changes anything, and judges what the next command makes of it.

From the first line of the record to its last: the record, the copies, the journal, both files. A rollback goes the same
way, the undo of a setup that failed once it had written, and a full disk at each write. Violations are printed as JSON.
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from runbook.commands.apply import steps
from runbook.commands.apply.steps import Apply
from runbook.errors import ExitCode, RunbookError
from runbook.interrupts import Interrupted
from tests.commands.alone import Files
from tests.files.interrupted import MEMORY, FullDisk, Point, Shim, calls_of, die, in_fork, naive

SAID = 3
"""Exit status of a setup that says that the old bytes are not back."""
DECLINED = -1


class Scene:
    """Files as they were, and the state directory of the commands."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(dir=MEMORY)
        self.directory = Path(self._folder.name)
        self.state_dir = self.directory / ".runbook"
        self.files = Files(Path(self._folder.name))

    def setting_up(
        self, shim: Shim | None = None, *, answer: bool = True, codes: Collection[int] = (0,)
    ) -> Callable[[], None]:
        """Return setup as an action that fails unless it ends with one of these codes."""

        def action() -> None:
            if shim:
                shim.install()
            try:
                result = self.files.set_up(self.directory, answer=answer)
                found = DECLINED if result.outcome == "cancelled" else result.exit_code
            except RunbookError as error:  # as the session does: the record itself could not be begun
                found = int(error.exit_code)
            if found not in codes:
                raise Interrupted  # any end but the wanted one

        return action

    def rolling_back(self, shim: Shim | None = None) -> Callable[[], None]:
        """Return rollback as an action that fails unless it ends well."""

        def action() -> None:
            if shim:
                shim.install()
            if self.files.roll_back(self.directory).exit_code:
                raise Interrupted

        return action

    def failing(self, shim: Shim | None = None) -> Callable[[], None]:
        """Return a setup that is refused once both files are written, and undoes that."""

        def action() -> None:
            write = Apply._write  # noqa: SLF001  # the last thing before the services are asked

            def refused(apply: Apply) -> NoReturn:
                write(apply)
                raise RunbookError("refused", where="here", fix="none")

            Apply._write = refused  # type: ignore[assignment, method-assign]  # noqa: SLF001  # the same
            self.setting_up(shim, codes={ExitCode.ROLLED_BACK})()

        return action

    def filling(self, shim: Shim) -> Callable[[], None]:
        """Return setup on a disk that becomes full; its exit status tells what the operator was told."""

        def action() -> None:
            shim.install()
            try:
                result = self.files.set_up(self.directory)
            except RunbookError:  # the record could not be begun
                return
            seen = result.problem.seen if result.problem else ""
            if result.exit_code not in {1, 6} or "could not be put back" in seen:
                os._exit(SAID if result.exit_code == 1 else 2)

        return action

    def wrong(self) -> str:
        """Look at what is there after the next command, and after the one behind it.

        The next one is declined: exit code 2, or 0 where the killed one had come to its end.
        """
        if in_fork(self.setting_up(answer=False, codes={ExitCode.OK, DECLINED})):
            return "the next command failed"
        after = self.files.after()
        settled = self.files.wrong([self.files.before, after])
        left = [path.name for path in self.state_dir.joinpath("journal").glob("*")]
        if settled or left:
            return settled or f"left in the journal: {left}"
        if in_fork(self.setting_up()):
            return "the setup behind it failed"
        return self.files.wrong([after])

    def wrong_to_undo(self) -> str:
        """Look as `wrong` does, and at what a rollback of all that makes of it."""
        if wrong := self.wrong():
            return wrong
        if in_fork(self.rolling_back()):
            return "the rollback behind it failed"
        return self.files.wrong([self.files.before])


def points(calls: Sequence[tuple[str, int]]) -> Iterator[Point]:
    """Before and after each call, and in the middle of each write."""
    for number, (_name, size) in enumerate(calls):
        yield Point(number, -1)
        if size > 1:
            yield Point(number, size // 2)
        yield Point(number, None)


def killed() -> Iterator[tuple[Point, str]]:
    """From the last call to the first: what a broken variant leaves shows early."""
    for point in reversed([*points(calls_of(Scene().setting_up()))]):
        scene = Scene()
        status = in_fork(scene.setting_up(Shim(point, die)))
        yield point, scene.wrong() if status == -signal.SIGKILL else f"not killed: {status}"


def rollback_killed() -> Iterator[tuple[Point, str]]:
    """Kill a rollback, after a setup that came to its end."""

    def scene() -> Scene:
        made = Scene()
        in_fork(made.setting_up())
        return made

    for point in reversed([*points(calls_of(scene().rolling_back()))]):
        made = scene()
        status = in_fork(made.rolling_back(Shim(point, die)))
        yield point, made.wrong_to_undo() if status == -signal.SIGKILL else f"not killed: {status}"


def undo_killed() -> Iterator[tuple[Point, str]]:
    """Kill a setup that fails, from the first bytes that it writes in place: the journal, then the files."""
    calls = calls_of(Scene().failing())
    writes = [name for name, _size in calls].index("pwrite")
    for point in reversed([one for one in points(calls) if one.number >= writes]):
        scene = Scene()
        status = in_fork(scene.failing(Shim(point, die)))
        yield point, scene.wrong_to_undo() if status == -signal.SIGKILL else f"not killed: {status}"


def disk_full() -> Iterator[tuple[Point, str]]:
    """A write that fails is exit code 1, or 6 once the files were written; the old bytes are there at once.

    Where not even they can be written, an entry of the journal knows them, or the error says that they are not back.
    """
    calls = calls_of(Scene().setting_up())
    writes = [number for number, (name, _size) in enumerate(calls) if name in {"write", "pwrite"}]
    for stays in (True, False):
        for number in writes:
            scene = Scene()
            status = in_fork(scene.filling(Shim(Point(number, -1), FullDisk(stays=stays))))
            is_known = any(scene.state_dir.glob("journal/*.entry"))
            is_old = scene.files.wrong([scene.files.before]) == ""
            at_once = "" if is_old or is_known or status == SAID else "neither the old bytes nor who knows them"
            yield Point(number, -1), at_once or scene.wrong() if status in {0, SAID} else f"ended with {status}"


MODES = {"killed": killed, "rollback": rollback_killed, "undo": undo_killed, "full": disk_full}


def warm_up() -> None:
    """Import here what the commands import when they need it, not in each of a thousand forks."""
    scene = Scene()
    scene.setting_up()()
    scene.rolling_back()()
    gc.freeze()  # what is never collected is never copied


def main(mode: str, variant: str) -> None:
    """Go through all points; for a broken variant, until the first one at which it shows."""
    if variant == "naive":
        vars(steps)["write_documents"] = lambda changes, *, journal: naive(changes, journal) or ()  # type: ignore[func-returns-value]  # the broken variant
    warm_up()
    seen, violations = 0, []
    for point, wrong in MODES[mode]():
        seen += 1
        violations += [[*point, wrong]] if wrong else []
        if violations and variant == "naive":
            break
    sys.stdout.write(json.dumps({"points": seen, "violations": violations}))


if __name__ == "__main__":
    main(*sys.argv[1:])
