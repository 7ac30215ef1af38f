"""What `troubleshoot` came to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.model import CheckResult, CommandResult, Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleshootResult(CommandResult):
    """The verdict, independent second faults, and every check; None if the checks did not run."""

    verdict: Verdict | None = None
    also: tuple[Verdict, ...] | None = None
    checks: tuple[CheckResult, ...] | None = None

    def views(self) -> Iterator["RenderableType"]:
        """Yield the checks along the flow, then the verdicts."""
        from runbook.commands.troubleshoot.view import checks_view, verdict_view

        if self.checks is not None:
            yield checks_view(self.checks)
        if self.verdict is not None:
            yield verdict_view(self.verdict)
        yield from (verdict_view(verdict, title="Also, independent of it") for verdict in self.also or ())
