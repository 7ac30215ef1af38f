"""A program that starts two setups of the same files at once, again and again, each wanting something else.

Half of the pairs share a working directory, half have one each. Without the locks, and with both held between their
check and their write, the same judgement must find what got lost: the broken variant. Violations are printed as JSON.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alone import Files

from runbook.commands import run_context
from runbook.commands.apply import replacing
from runbook.commands.setup import steps as setup
from runbook.errors import ExitCode
from runbook.files import writing

WITH_ABSENT = (False, True)
_MEETING_S = 20


def pair(directories: tuple[Path, Path], files: Files) -> tuple[int, int]:
    """Exit codes of two setups that start at the same moment: the plain one, and the one with the second alert."""
    waiting, starting = os.pipe()
    children = []
    for directory, with_absent_alert in zip(directories, WITH_ABSENT, strict=True):
        child = os.fork()
        if child == 0:
            code = 99
            try:
                os.close(starting)
                os.read(waiting, 1)
                code = files.set_up(directory, with_absent_alert=with_absent_alert).exit_code
            finally:
                os._exit(code)
        children.append(child)
    os.close(waiting)
    os.close(starting)
    plain, absent = (os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    return plain, absent


def judged(codes: tuple[int, int], files: Files) -> str:
    """Say what is wrong: an exit code that promises too much, or a change that is not there."""
    plain, absent = codes
    if not {plain, absent} <= {ExitCode.OK, ExitCode.LOCKED} or ExitCode.OK not in codes:
        return f"exit codes {codes}"
    wrong = files.wrong([files.after(with_absent_alert=absent == ExitCode.OK)])
    return f"{codes}, and {wrong}" if wrong else ""


@contextmanager
def unlocked() -> Iterator[None]:
    """Take every lock away, and let each of two wait until the other has also checked the files."""

    @contextmanager
    def nothing(*_: Any, **__: Any) -> Iterator[tuple[()]]:  # noqa: ANN401 - of every lock
        yield ()

    for module in (setup, replacing, run_context):
        for name in {"target_lock", "files_lock"} & set(vars(module)):
            setattr(module, name, nothing)
    checked, entered = get_context("fork").Barrier(2), writing.entered

    def meeting(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the one it stands for
        checked.wait(_MEETING_S)
        return entered(*arguments, **options)

    writing.entered = meeting
    yield


def main(pairs: str, variant: str) -> None:
    seen, violations = Counter[str](), []
    with unlocked() if variant == "unlocked" else TemporaryDirectory():
        for number in range(int(pairs)):
            with TemporaryDirectory() as folder:
                files = Files(Path(folder))
                codes = pair((Path(folder) / "a", Path(folder) / ("a" if number % 2 else "b")), files)
                violations += [wrong] if (wrong := judged(codes, files)) else []
                seen[str(codes)] += 1
    sys.stdout.write(json.dumps({"pairs": seen.total(), "codes": seen, "violations": violations}))


if __name__ == "__main__":
    main(*sys.argv[1:])
