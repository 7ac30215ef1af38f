"""What every command does around its work: context, run log, result, report, exit code. Nothing else gets out."""

import errno
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from rich.console import RenderableType

from runbook.commands.run_context import RunContext
from runbook.console import Screen, defect, document, make_screen
from runbook.errors import ExitCode, RunbookError
from runbook.interrupts import Interrupted, uninterrupted
from runbook.invocation import inv, works_on
from runbook.model import CommandResult, Problem
from runbook.runs.run_log import RunLog
from runbook.settings import option_for, unknown_variables

_REFUSALS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})

Work = Callable[[RunContext], CommandResult]


def execute(
    command: str,
    work: Work,
    *,
    target: str | None = None,
    json: bool = False,
    prints: bool = False,
    yes: bool = False,
    is_recorded: bool = True,
    has_report: bool = False,
) -> int:
    """Do the work of a command, show and record its result, and return its exit code.

    With `has_report`, the evidence of the run is written beside its log. A command that `prints` has standard output
    for itself.
    """
    screen = make_screen(json=json, yes=yes, apart=prints)
    context = RunContext(command, target=target, screen=screen, is_recorded=is_recorded, warns=screen.warns)
    works_on(option_for(context.target_name))
    for unknown in unknown_variables():
        screen.warns(unknown.warning)
    began, started_at = time.monotonic(), datetime.now(UTC)

    def ended(outcome: str, exit_code: ExitCode, problem: Problem) -> CommandResult:
        return CommandResult(
            task=command,
            target=context.target_name,
            run_id=context.begun_run_log.run_id if context.begun_run_log else "",
            started_at=started_at,
            duration_s=round(time.monotonic() - began, 3),
            outcome=outcome,
            exit_code=int(exit_code),
            steps=(),
            problem=problem,
        )

    try:
        result = work(context)
    except Interrupted:
        result = ended("interrupted", ExitCode.INTERRUPTED, _interrupted(context))
    except RunbookError as error:
        result = ended("failed", error.exit_code, context.problem(error))
    except OSError as error:
        problem = context.problem(_refused(error) or defect(error, context.state_dir / "defects"))
        result = ended("failed", ExitCode.PROBLEM, problem)
    except Exception as error:  # noqa: BLE001 - the one place where nothing may get out as a bare traceback
        problem = context.problem(defect(error, context.state_dir / "defects"))
        result = ended("failed", ExitCode.PROBLEM, problem)
    with uninterrupted():
        return _shown(context, screen, result, has_report=has_report)


def _interrupted(context: RunContext) -> Problem:
    """Say that the command was interrupted, and what of its changes could not be undone."""
    left = context.not_undone
    if left:
        return Problem(seen=f"Interrupted. {left.seen}", where=left.where, fix=left.fix)
    where = str(context.begun_run_log.folder if context.begun_run_log else context.directory)
    return Problem(seen="Interrupted; no file was left half written", where=where, fix=inv(context.command))


def _shown(context: RunContext, screen: Screen, result: CommandResult, *, has_report: bool) -> int:
    run_log = context.begun_run_log
    if run_log:
        result = _recorded(run_log, replace(result, task=context.command, run_id=run_log.run_id))
        if has_report:
            screen.says(_reported(run_log))
    if result.exit_code and result.problem is None and context.local_stack_hint:
        screen.says(context.local_stack_hint)
    screen.shows(result, views_of(result), run_folder=run_log.folder if run_log else None)
    return result.exit_code


def _refused(error: OSError) -> RunbookError | None:
    """Return what the operating system refused, in three parts; None if it is no matter of rights or of room."""
    if error.errno not in _REFUSALS or not error.filename:
        return None
    fix = "use a folder of your own (HOME, the working directory), or run as the user who owns it"
    return RunbookError(f"{error.strerror}", where=str(error.filename), fix=fix)


def views_of(result: CommandResult) -> Iterable[RenderableType]:
    """Return how a command's own fields are shown: by `views` in the view.py beside its result, if it has one."""
    package = type(result).__module__.rpartition(".")[0]
    if find_spec(f"{package}.view") is None:
        return ()
    views: Callable[[CommandResult], Iterable[RenderableType]] = import_module(f"{package}.view").views
    return views(result)


def _recorded(run_log: RunLog, result: CommandResult) -> CommandResult:
    """Keep the result; what cannot be kept is no success."""
    try:
        run_log.append("result", document(result))
    except RunbookError as error:
        if result.exit_code == ExitCode.OK:
            problem = Problem(seen=error.seen, where=error.where, fix=error.fix)
            return replace(result, outcome="failed", exit_code=int(error.exit_code), problem=problem)
    return result


def _reported(run_log: RunLog) -> str:
    from runbook.commands.report.html import write_report

    try:
        return f"report: {write_report(run_log, run_log.folder)}"
    except (RunbookError, OSError) as error:
        return f"the report could not be written: {error}"
