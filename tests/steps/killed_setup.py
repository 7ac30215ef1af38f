"""A program that kills setup at every system call that changes anything, and judges what the next command makes of it.

From the first line of the record to its last: the record, the copies, the journal, both files. A full disk at each
write goes the same way. Violations are printed as JSON.
"""

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from alone import Files
from interrupted import FullDisk, Point, Shim, calls_of, die, in_fork, naive

from runbook.errors import RunbookError
from runbook.interrupts import Interrupted
from runbook.steps import replacing


class Scene:
    """Files as they were, and the state directory of the commands."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self.state_dir = Path(self._folder.name) / ".runbook"
        self.files = Files(Path(self._folder.name))

    def setting_up(self, shim: Shim | None = None, *, answer: bool = True, code: int = 0) -> Callable[[], None]:
        """Return setup as an action that fails unless it ends with that code."""

        def action() -> None:
            if shim:
                shim.install()
            try:
                found = self.files.set_up(self.state_dir, answer=answer).exit_code
            except RunbookError as error:  # as the session does: the record itself could not be begun
                found = int(error.exit_code)
            if found != code:
                raise Interrupted  # any end but the wanted one

        return action

    def wrong(self) -> str:
        """Look at what is there after the next command, which is declined, and after the one behind it."""
        if in_fork(self.setting_up(answer=False, code=2)) not in {0, 2}:
            return "the next command failed"
        after = self.files.after()
        settled = self.files.wrong([self.files.before, after])
        left = [path.name for path in self.state_dir.joinpath("journal").glob("*")]
        if settled or left:
            return settled or f"left in the journal: {left}"
        if in_fork(self.setting_up()):
            return "the setup behind it failed"
        return self.files.wrong([after])


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


def disk_full() -> Iterator[tuple[Point, str]]:
    """A write that fails is exit code 1 with the old bytes, now or by the next command; never a crash."""
    calls = calls_of(Scene().setting_up())
    writes = [number for number, (name, _size) in enumerate(calls) if name in {"write", "pwrite"}]
    for stays in (True, False):
        for number in writes:
            scene = Scene()
            status = in_fork(scene.setting_up(Shim(Point(number, -1), FullDisk(stays=stays)), code=1))
            yield Point(number, -1), scene.wrong() if status == 0 else f"ended with {status}"


MODES = {"killed": killed, "full": disk_full}


def main(mode: str, variant: str) -> None:
    """Go through all points; for a broken variant, until the first one at which it shows."""
    if variant == "naive":
        replacing.write_documents = lambda changes, *, journal: naive(changes, journal) or ()  # type: ignore[assignment,func-returns-value]  # the broken variant
    seen, violations = 0, []
    for point, wrong in MODES[mode]():
        seen += 1
        violations += [[*point, wrong]] if wrong else []
        if violations and variant == "naive":
            break
    sys.stdout.write(json.dumps({"points": seen, "violations": violations}))


if __name__ == "__main__":
    main(*sys.argv[1:])
