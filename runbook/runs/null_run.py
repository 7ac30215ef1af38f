"""The log of a task that only looks: it keeps nothing, so that looking does not fill the history."""

from pathlib import Path
from typing import NoReturn

from runbook.runs.run_log import RunEvent, RunLog


class NullRun(RunLog):
    """A log without a file; its run id is empty."""

    def __init__(self) -> None:
        """Take no folder."""
        super().__init__(Path())

    def append(self, kind: str, data: object) -> None:
        """Keep nothing."""

    def events(self, kind: str | None = None) -> tuple[RunEvent, ...]:  # noqa: ARG002 - the signature is RunLog's
        """Return nothing."""
        return ()

    def keep(self, path: Path, content: bytes) -> NoReturn:
        """Refuse: what has no log must not change a file."""
        raise NotImplementedError(f"{path} ({len(content)} bytes) needs the log of a run")
