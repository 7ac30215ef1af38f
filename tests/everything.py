"""A result with every field that any command has: what the document, the screen and the report must be able to show."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import RenderableType

from runbook.commands.history.result import HistoryResult, PastRun
from runbook.commands.logs.result import LogsResult
from runbook.commands.metrics.result import MetricsResult, QueryAnswer
from runbook.commands.silence.result import Silenced, SilenceResult
from runbook.commands.stack.result import StackResult
from runbook.commands.troubleshoot.result import TroubleshootResult
from runbook.commands.verify.result import VerifyResult
from runbook.model import CheckResult, CommandResult, Criterion, Ledger, Line, ServiceStatus, Verdict

OF_COMMANDS = (
    VerifyResult,
    TroubleshootResult,
    StackResult,
    HistoryResult,
    MetricsResult,
    SilenceResult,
    LogsResult,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything(CommandResult):
    """Every field of every command; each is shown as its command shows it."""

    diff: str | None = None
    ledger: Ledger | None = None
    criteria: tuple[Criterion, ...] | None = None
    verdict: Verdict | None = None
    also: tuple[Verdict, ...] | None = None
    checks: tuple[CheckResult, ...] | None = None
    parts: tuple[ServiceStatus, ...] | None = None
    runs: tuple[PastRun, ...] | None = None
    answers: tuple[QueryAnswer, ...] | None = None
    silences: tuple[Silenced, ...] | None = None
    lines: tuple[Line, ...] | None = None

    def views(self) -> Iterator[RenderableType]:
        """Yield what each command would show."""
        for kind in OF_COMMANDS:
            yield from kind.views(self)  # type: ignore[arg-type]  # it has that command's fields, and more
