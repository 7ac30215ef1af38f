"""The options of `troubleshoot`."""

from dataclasses import dataclass

from runbook.options import TargetOptions, option, positive


@dataclass(frozen=True, kw_only=True)
class TroubleshootOptions(TargetOptions):
    """What `troubleshoot` was asked for."""

    hop: str | None = option(None, help="check this hop only, and what it needs")
    timeout_s: float = option(20.0, flag="timeout", help="seconds for all checks together", convert=positive)
