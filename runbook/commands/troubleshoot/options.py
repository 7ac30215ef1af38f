"""The options of `troubleshoot`."""

from dataclasses import dataclass
from typing import Final

from runbook.durations import parsed_duration
from runbook.options import TargetOptions, option, positive

_LONGEST_S: Final = 24 * 3600


def _duration(flag: str, text: str) -> int:
    return parsed_duration(text, option=flag, most_s=_LONGEST_S)


@dataclass(frozen=True, kw_only=True)
class TroubleshootOptions(TargetOptions):
    """What `troubleshoot` was asked for."""

    hop: str | None = option(None, help="check this hop only, and what it needs")
    probe: bool = option(False, help="create one marked lead and one job first, and follow them")
    since_s: int | None = option(
        None,
        flag="since",
        help="how far back: 30m, 2h (default: to the newest traffic run, else 15m)",
        convert=_duration,
    )
    strict: bool = option(False, help="exit code 3 where a boundary of the flow was not exercised")
    timeout_s: float = option(20.0, flag="timeout", help="seconds for all checks together", convert=positive)
