"""One command while it runs: its steps are observed, timed and recorded in one way."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from runbook.commands.run_context import RunContext
from runbook.errors import ExitCode, RunbookError
from runbook.interrupts import raise_if_interrupted
from runbook.invocation import inv
from runbook.model import CommandResult, Evidence, Problem, StepOutcome, StepResult

T = TypeVar("T")
R = TypeVar("R", bound=CommandResult)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutput(Generic[T]):
    """What a step's work came to: its value for the next steps, and what the operator reads.

    `fix` is what to do next where the outcome is "failed" or "not_checked".
    """

    value: T
    outcome: StepOutcome
    reason: str
    evidence: tuple[Evidence, ...] = ()
    fix: str = ""

    @property
    def is_unproven(self) -> bool:
        """Whether it failed, or could not be checked."""
        return self.outcome in {"failed", "not_checked"}

    @property
    def told(self) -> str:
        """The reason, with the fix where there is one to be done."""
        return f"{self.reason}. Fix: {self.fix}" if self.fix and self.is_unproven else self.reason


class TaskRun:
    """One command on one target while it runs."""

    def __init__(self, task: str, context: RunContext) -> None:
        """Begin the clock of the command."""
        self.task = task
        self.context = context
        self.steps: list[StepResult] = []
        self.unproven: dict[str, tuple[StepOutcome, Problem]] = {}
        """By step: what it has looked at and not proven, and what to do about it."""
        self._started_at = datetime.now(UTC)
        self._began = time.monotonic()

    def step(self, name: str, number: int, work: Callable[[], StepOutput[T]]) -> T:
        """Do one step and return its value. A RunbookError becomes a failed step and goes on up."""
        raise_if_interrupted()
        self.context.screen.begins(name, number)
        began = time.monotonic()
        try:
            done = work()
        except RunbookError as error:
            evidence = (Evidence(source=error.where, saw=error.seen),)
            failed = StepResult(step=name, number=number, outcome="failed", reason=error.seen, evidence=evidence)
            with suppress(RunbookError):  # a record that is full must not hide what failed
                self._end(failed, began)
            raise
        if done.fix and done.is_unproven:
            where = done.evidence[0].source if done.evidence else name
            self.unproven[name] = (done.outcome, Problem(seen=done.reason, where=where, fix=done.fix))
        self._end(
            StepResult(step=name, number=number, outcome=done.outcome, reason=done.told, evidence=done.evidence), began
        )
        return done.value

    def look(self, name: str, number: int, work: Callable[[], StepOutput[T]]) -> T | None:
        """Do one step that only looks. What cannot be read is not checked, said so, and None."""

        def looked() -> StepOutput[T | None]:
            try:
                done = work()
            except RunbookError as error:
                seen = Evidence(source=error.where, saw=error.seen)
                return StepOutput(value=None, outcome="not_checked", reason=error.seen, evidence=(seen,), fix=error.fix)
            return StepOutput(
                value=done.value, outcome=done.outcome, reason=done.reason, evidence=done.evidence, fix=done.fix
            )

        return self.step(name, number, looked)

    @property
    def first_unproven(self) -> Problem | None:
        """The first step that failed, else the first that could not be checked."""
        found = sorted(self.unproven.values(), key=lambda one: one[0] != "failed")
        return found[0][1] if found else None

    def _end(self, result: StepResult, began: float) -> None:
        warned = self.context.untold_warnings()
        for text in warned:
            self.context.screen.says(text)
        evidence = (*result.evidence, *(Evidence(source="settings", saw=text) for text in warned))
        timed = replace(result, evidence=evidence, duration_s=round(time.monotonic() - began, 3))
        self.steps.append(timed)
        self.context.run_log.append("step", timed)
        self.context.screen.ends(timed)
        raise_if_interrupted()

    def result(self, kind: type[R], outcome: str, exit_code: ExitCode, *, problem: Problem | None = None) -> R:
        """Return what the command came to, as its own kind of result without that kind's own fields."""
        return kind(
            task=self.task,
            target=self.context.target_name,
            run_id=self.context.run_log.run_id,
            started_at=self._started_at,
            duration_s=round(time.monotonic() - self._began, 3),
            outcome=outcome,
            exit_code=int(exit_code),
            steps=tuple(self.steps),
            problem=problem,
        )

    def declined(self, kind: type[R]) -> R:
        """Return the result of a command whose question was not answered with yes: nothing was changed."""
        problem = Problem(
            seen="You did not answer yes; nothing was changed",
            where="the question above",
            fix=f"{inv(self.task)} asks again; --yes answers yes",
        )
        return self.result(kind, "cancelled", ExitCode.PROBLEM, problem=problem)

    def failure(self, kind: type[R], error: RunbookError) -> R:
        """Return the result of a command that an error ended, with the error's own exit code."""
        problem = self.context.problem(error)
        outcome = "rolled_back" if error.exit_code is ExitCode.ROLLED_BACK else "failed"
        return self.result(kind, outcome, error.exit_code, problem=problem)
