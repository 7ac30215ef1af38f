"""The options of `rollback`."""

from dataclasses import dataclass

from runbook.options import RunIdOption, TargetOptions, YesOption, option, positive


@dataclass(frozen=True, kw_only=True)
class RollbackOptions(TargetOptions, RunIdOption, YesOption):
    """What `rollback` was asked for. Without a run id: the last setup that wrote and was not undone."""

    force: bool = option(False, help="also over what somebody has changed since; the run keeps a copy of that")
    restart: bool = option(True, help="--no-restart: put the files back only")
    timeout_s: float = option(120.0, flag="timeout", help="seconds to wait for a state", convert=positive)
