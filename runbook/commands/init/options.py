"""The options of `init`."""

from dataclasses import dataclass

from runbook.errors import UsageError
from runbook.options import TargetOptions, YesOption, option


@dataclass(frozen=True, kw_only=True)
class InitOptions(TargetOptions, YesOption):
    """What `init` was asked for."""

    print_: bool = option(False, flag="print", help="print the whole proposal on standard output, and write nothing")
    dry_run: bool = option(False, help="show what would be written; exit code 2 if that is anything")
    check: bool = option(False, help="list every setting and where it came from; exit code 4 if one is wrong")

    def __post_init__(self) -> None:
        """Refuse two of them together."""
        given = [name for name, is_given in self._asked.items() if is_given]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} do not go together", where="command line", fix="give one of them")

    @property
    def _asked(self) -> dict[str, bool]:
        return {"--print": self.print_, "--dry-run": self.dry_run, "--check": self.check}
