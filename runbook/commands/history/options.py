"""The options of `history`."""

from dataclasses import dataclass

from runbook.errors import UsageError
from runbook.options import JsonOption, option, whole


@dataclass(frozen=True, kw_only=True)
class HistoryOptions(JsonOption):
    """What `history` was asked for: the newest runs, or all of them."""

    last: int = option(20, help="only the newest runs, so many", convert=whole)
    all_: bool = option(False, flag="all", help="every run that is kept")

    def __post_init__(self) -> None:
        """Refuse to list less than one run."""
        if self.last < 1:
            raise UsageError(f"--last is {self.last}", where="option --last", fix="give a whole number above 0")
