"""The options of `verify`."""

from dataclasses import dataclass
from typing import Final

from runbook.durations import parsed_duration
from runbook.errors import UsageError
from runbook.options import RunIdOption, TargetOptions, option, positive

_LONGEST_S: Final = 24 * 3600


def _duration(flag: str, text: str) -> int:
    return parsed_duration(text, option=flag, most_s=_LONGEST_S)


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(TargetOptions, RunIdOption):
    """What `verify` was asked for. Without a run id: the newest traffic run on the target."""

    passive: bool = option(False, help="judge the real traffic and prove no run; so it is without any traffic run")
    since_s: int | None = option(
        None, flag="since", help="with --passive: how far back, such as 30m or 2h (default: 15m)", convert=_duration
    )
    timeout_s: float = option(60.0, flag="timeout", help="seconds to wait at each hop", convert=positive)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself. Raises UsageError."""
        if self.passive and self.run_id:
            fix = "leave one of them out: --passive proves no run"
            raise UsageError("--passive and --run exclude each other", where="option --passive", fix=fix)
        if self.since_s and not self.passive:
            raise UsageError("--since is for --passive only", where="option --since", fix="add --passive")
