"""An exception that nobody foresaw: said honestly, with its trace in a file instead of on the screen."""

import os
import traceback
from pathlib import Path

from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.private_paths import private_file, private_folder


class DefectError(RunbookError):
    """A defect of this tool, not of what it looked at."""


def defect(error: BaseException, folder: Path) -> DefectError:
    """Return the three parts for an exception, after writing its trace (no values of variables) to `folder`."""
    kept = _kept_trace(error, folder / "trace.txt")
    return DefectError(
        f"This is a defect of this tool, not of the installation: {type(error).__name__}: {error}",
        where=f"{_place(error)}; {kept}",
        fix=f"give that trace to the maintainers; {inv('troubleshoot')} does not need the step that failed",
    )


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else "no trace"


def _kept_trace(error: BaseException, path: Path) -> str:
    text = "".join(traceback.format_exception(error))
    try:
        private_folder(path.parent.parent)
        private_folder(path.parent)
        with private_file(path, os.O_TRUNC) as descriptor:
            os.write(descriptor, text.encode("utf-8", "replace"))
    except (OSError, RunbookError) as refused:
        return f"its trace could not be kept: {refused}\n{text}"
    return f"its trace is in {path}"
