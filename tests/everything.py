"""A result with every field that any command has: what the document, the screen and the report must be able to show."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from rich.console import RenderableType

from runbook.commands.history.result import PastRun
from runbook.commands.init.result import FoundSetting, SettingInForce
from runbook.commands.metrics.result import QueryAnswer
from runbook.commands.silence.result import Silenced
from runbook.commands.verify.result import JudgedBoundary
from runbook.model import CheckResult, CommandResult, Criterion, Ledger, Line, Problem, ServiceStatus, Verdict

VIEWS = tuple(import_module(f"runbook.commands.{name}.view").views for name in (
    "verify", "troubleshoot", "stack", "history", "metrics", "silence", "logs", "init",
))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything(CommandResult):
    """Every field of every command; each is shown as its command shows it."""

    diff: str | None = None
    ledger: Ledger | None = None
    criteria: tuple[Criterion, ...] | None = None
    boundaries: tuple[JudgedBoundary, ...] | None = None
    verdict: Verdict | None = None
    also: tuple[Verdict, ...] | None = None
    checks: tuple[CheckResult, ...] | None = None
    parts: tuple[ServiceStatus, ...] | None = None
    runs: tuple[PastRun, ...] | None = None
    older: int | None = None
    answers: tuple[QueryAnswer, ...] | None = None
    silences: tuple[Silenced, ...] | None = None
    lines: tuple[Line, ...] | None = None
    proposal: str | None = None
    found: tuple[FoundSetting, ...] | None = None
    unknown: tuple[Problem, ...] | None = None
    settings: tuple[SettingInForce, ...] | None = None
    wrong: tuple[Problem, ...] | None = None


def views(result: Everything) -> Iterator[RenderableType]:
    """Yield what each command would show of its own fields."""
    for of_command in VIEWS:
        yield from of_command(result)
