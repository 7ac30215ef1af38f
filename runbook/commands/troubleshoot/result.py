"""What `troubleshoot` came to."""

from dataclasses import dataclass

from runbook.model import CheckResult, CommandResult, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleshootResult(CommandResult):
    """The verdict, independent second faults, and every check; None if the checks did not run."""

    verdict: Verdict | None = None
    also: tuple[Verdict, ...] | None = None
    checks: tuple[CheckResult, ...] | None = None
