"""The frame around every task: its steps are observed, timed and recorded in one way."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from runbook.errors import ExitCode, RunbookError
from runbook.model import Evidence, Problem, StepOutcome, StepResult, TaskResult
from runbook.observer import Observer
from runbook.runs.run_log import RunLog

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutput(Generic[T]):
    """What a step's work came to: its value for the next steps, and what the operator reads."""

    value: T
    outcome: StepOutcome
    reason: str
    evidence: tuple[Evidence, ...] = ()


class TaskRun:
    """One task on one target while it runs."""

    def __init__(self, task: str, *, target: str, record: RunLog, observer: Observer) -> None:
        """Begin the clock of the task."""
        self.task = task
        self.target = target
        self.record = record
        self.observer = observer
        self.steps: list[StepResult] = []
        self._started_at = datetime.now(UTC)
        self._began = time.monotonic()

    def step(self, name: str, number: int, work: Callable[[], StepOutput[T]]) -> T:
        """Do one step and return its value. A RunbookError becomes a failed step and goes on up."""
        self.observer.begins(name, number)
        began = time.monotonic()
        try:
            done = work()
        except RunbookError as error:
            evidence = (Evidence(source=error.where, saw=error.seen),)
            failed = StepResult(step=name, number=number, outcome="failed", reason=error.seen, evidence=evidence)
            with suppress(RunbookError):  # a record that is full must not hide what failed
                self._end(failed, began)
            raise
        self._end(
            StepResult(step=name, number=number, outcome=done.outcome, reason=done.reason, evidence=done.evidence),
            began,
        )
        return done.value

    def look(self, name: str, number: int, work: Callable[[], StepOutput[T]]) -> T | None:
        """Do one step that only looks. What cannot be read is not checked, said so, and None."""

        def looked() -> StepOutput[T | None]:
            try:
                done = work()
            except RunbookError as error:
                seen = Evidence(source=error.where, saw=error.seen)
                return StepOutput(
                    value=None, outcome="not_checked", reason=f"{error.seen}. Fix: {error.fix}", evidence=(seen,)
                )
            return StepOutput(value=done.value, outcome=done.outcome, reason=done.reason, evidence=done.evidence)

        return self.step(name, number, looked)

    def _end(self, result: StepResult, began: float) -> None:
        timed = replace(result, duration_s=round(time.monotonic() - began, 3))
        self.steps.append(timed)
        self.record.append("step", timed)
        self.observer.ends(timed)

    def result(self, outcome: str, exit_code: ExitCode, **parts: Any) -> TaskResult:  # noqa: ANN401 - TaskResult's own
        """Return what the task came to; `parts` are the fields of TaskResult that this task has."""
        return TaskResult(
            task=self.task,
            target=self.target,
            run_id=self.record.run_id,
            started_at=self._started_at,
            duration_s=round(time.monotonic() - self._began, 3),
            outcome=outcome,
            exit_code=int(exit_code),
            steps=tuple(self.steps),
            **parts,
        )

    def failure(self, error: RunbookError, **parts: Any) -> TaskResult:  # noqa: ANN401 - TaskResult's own
        """Return the result of a task that an error ended, with the error's own exit code."""
        problem = Problem(seen=error.seen, where=error.where, fix=error.fix)
        outcome = "rolled_back" if error.exit_code is ExitCode.ROLLED_BACK else "failed"
        return self.result(outcome, error.exit_code, problem=problem, **parts)
