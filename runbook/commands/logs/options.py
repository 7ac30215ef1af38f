"""The options of `logs`."""

from dataclasses import dataclass

from runbook.options import TargetOptions, option, whole


@dataclass(frozen=True, kw_only=True)
class LogsOptions(TargetOptions):
    """What `logs` was asked for."""

    since: str | None = option(None, help="how far back: 10m, 2h, or a moment in ISO 8601")
    tail: int | None = option(None, help="only the last lines, so many; default: 20", convert=whole)
    follow: bool = option(False, help="go on until Ctrl-C")
