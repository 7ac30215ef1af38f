"""What every task does around its work: settings, runtime, record, screen, and the exit code."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from runbook.commands.report.html import write_report
from runbook.console import Screen, defect, document, make_screen
from runbook.errors import ExitCode, RunbookError
from runbook.interrupts import Interrupted, uninterrupted
from runbook.model import Problem, TaskResult
from runbook.runs.run_log import RunLog, begin_run
from runbook.settings import STACK_DIR, STATE_DIR, Target, load_target, target_name
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.runtime import Runtime

Work = Callable[["Session"], TaskResult]


class Session:
    """One task at work. Settings, runtime and record come to be when the work first asks for them."""

    def __init__(self, task: str, *, target: str | None, screen: Screen) -> None:
        """Take the name of the task and of the target (None: `RUNBOOK_TARGET`, else `live`)."""
        self.task = task
        self.wanted_target = target_name(target)
        self.screen = screen
        self.directory = Path.cwd()
        self.state_dir = self.directory / STATE_DIR
        self.started_at = datetime.now(UTC)
        self._began = time.monotonic()

    @cached_property
    def target(self) -> Target:
        """The settings of the target."""
        return load_target(self.wanted_target, directory=self.directory)

    @cached_property
    def runtime(self) -> Runtime:
        """What runs the services of the target."""
        if self.target.runtime.kind == "processes":
            return ProcessRuntime(self.directory / STACK_DIR)
        return DockerRuntime(self.target.runtime)

    @cached_property
    def record(self) -> RunLog:
        """The record of this run, begun now."""
        return begin_run(self.state_dir, task=self.task, target=self.wanted_target)

    @property
    def begun_record(self) -> RunLog | None:
        """The record, if the work has begun one."""
        return self.__dict__.get("record")

    def recording(self) -> dict[str, Any]:
        """What every recorded step takes: the state directory, the record and the observer."""
        return {"state_dir": self.state_dir, "record": self.record, "observer": self.screen}

    def tools(self) -> dict[str, Any]:
        """The same, and the runtime of the target."""
        return {"runtime": self.runtime, **self.recording()}

    def result(self, outcome: str, exit_code: ExitCode, problem: Problem | None = None) -> TaskResult:
        """Return a result without steps, for work that ended before or beside them."""
        record = self.begun_record
        return TaskResult(
            task=self.task,
            target=self.wanted_target,
            run_id=record.run_id if record else "",
            started_at=self.started_at,
            duration_s=round(time.monotonic() - self._began, 3),
            outcome=outcome,
            exit_code=int(exit_code),
            steps=(),
            problem=problem,
        )


def carry_out(
    task: str,
    work: Work,
    *,
    target: str | None = None,
    json: bool = False,
    yes: bool = False,
    reports: bool = False,
) -> NoReturn:
    """Do the work of a task, show and record its result, and leave with its exit code. Nothing else gets out.

    With `reports`, the evidence of the run is written beside its record.
    """
    screen = make_screen(json=json, yes=yes)
    session = Session(task, target=target, screen=screen)
    try:
        result = work(session)
    except Interrupted:
        problem = Problem(
            seen="Interrupted; nothing is half done",
            where=str(session.begun_record.folder if session.begun_record else session.directory),
            fix=f"inv {task} again when you are ready",
        )
        result = session.result("interrupted", ExitCode.INTERRUPTED, problem)
    except RunbookError as error:
        result = _failed(session, error)
    except Exception as error:  # noqa: BLE001 - the one place where nothing may get out as a bare traceback
        result = _failed(session, defect(error, session.state_dir / "defects"))
    with uninterrupted():
        code = _ended(session, result, reports=reports)
    raise SystemExit(code)


def _failed(session: Session, error: RunbookError) -> TaskResult:
    return session.result("failed", error.exit_code, Problem(seen=error.seen, where=error.where, fix=error.fix))


def _ended(session: Session, result: TaskResult, *, reports: bool) -> int:
    record = session.begun_record
    if record:
        result = _recorded(record, replace(result, task=session.task, run_id=record.run_id))
        if reports:
            session.screen.says(_reported(record))
    session.screen.shows(result, record=record.folder if record else None)
    return result.exit_code


def _recorded(record: RunLog, result: TaskResult) -> TaskResult:
    """Keep the result; what cannot be kept is no success."""
    try:
        record.append("result", document(result))
    except RunbookError as error:
        if result.exit_code == ExitCode.OK:
            problem = Problem(seen=error.seen, where=error.where, fix=error.fix)
            return replace(result, outcome="failed", exit_code=int(error.exit_code), problem=problem)
    return result


def _reported(record: RunLog) -> str:
    try:
        return f"report: {write_report(record, record.folder)}"
    except (RunbookError, OSError) as error:
        return f"the report could not be written: {error}"
