"""The options of `troubleshoot`."""

from dataclasses import dataclass

from runbook.options import TargetOptions, option, positive


@dataclass(frozen=True, kw_only=True)
class TroubleshootOptions(TargetOptions):
    """What `troubleshoot` was asked for."""

    hop: str | None = option(None, help="check this hop only, and what it needs")
    probe: bool = option(False, help="create one marked lead and one job first, and follow them")
    strict: bool = option(False, help="exit code 3 where a boundary of the flow was not exercised")
    timeout_s: float = option(20.0, flag="timeout", help="seconds for all checks together", convert=positive)
