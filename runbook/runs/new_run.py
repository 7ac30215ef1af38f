"""A new run: its folder appears with its first event in it."""

import errno
import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from runbook.platforms import may_pass, sync_folder
from runbook.private_paths import private_folder
from runbook.runs.run_files import writing
from runbook.runs.run_log import BEGIN, FORMAT, RunLog
from runbook.waiting import Pending, wait_until

UNBEGUN: Final = ".begins-"
"""How the folder of a run is named until its first event is in it."""

_RENAMED_S: Final = 3.0
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})


def begin_run(state_dir: Path, *, task: str, target: str) -> RunLog:
    """Begin a run with a new id: time in UTC, the part of the second in four hex digits; fit for an e-mail address.

    Ids are in the order of time. Raises RunbookError if the state directory cannot be written, or belongs to another
    user.
    """
    runs = state_dir / "runs"
    with writing(runs):
        private_folder(state_dir)
        private_folder(runs)
        unbegun = runs / f"{UNBEGUN}{secrets.token_hex(8)}"
        try:
            private_folder(unbegun)
            RunLog(unbegun).append(BEGIN, {"task": task, "target": target, "pid": os.getpid(), "format": FORMAT})
            run_log = RunLog(_named(unbegun))
        except BaseException:
            shutil.rmtree(unbegun, ignore_errors=True)
            raise
        sync_folder(runs)
    return run_log


def _named(unbegun: Path) -> Path:
    """Give a folder the name of the moment at which that is possible. Raises OSError, and WaitError on Windows."""

    def named() -> Path | Pending:
        now = datetime.now(UTC)
        folder = unbegun.with_name(f"{now:%Y%m%d-%H%M%S}-{now.microsecond * 0x10000 // 1_000_000:04x}")
        try:
            unbegun.rename(folder)
        except OSError as error:  # another run began within the same 15 microseconds, or see may_pass
            if error.errno not in _TAKEN and not may_pass(error):
                raise
            return Pending(error.strerror or "not yet")
        return folder

    fix = "close what has this folder open, then run the command again"
    what = "A folder of its own for this run"
    return wait_until(named, what=what, deadline_s=_RENAMED_S, where=str(unbegun), fix=fix, every_s=0.001)
