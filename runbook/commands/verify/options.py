"""The options of `verify`."""

from dataclasses import dataclass

from runbook.options import RunIdOption, TargetOptions, option, positive


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(TargetOptions, RunIdOption):
    """What `verify` was asked for. Without a run id: the newest traffic run on the target."""

    timeout_s: float = option(60.0, flag="timeout", help="seconds to wait at each hop", convert=positive)
