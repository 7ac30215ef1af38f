"""What a task tells while it runs. The console shows it; tests collect it; steps know nothing of terminals."""

from typing import Protocol

from runbook.model import Line, StepResult


class Observer(Protocol):
    """Somebody who watches a task."""

    def begins(self, step: str, number: int) -> None:
        """A step of the runbook begins; `number` is the runbook's own."""

    def progresses(self, what: str, done: int, total: int) -> None:
        """A countable part of the current step is done (leads sent, parts up)."""

    def shows_diff(self, diff: str) -> None:
        """The plan, as a unified diff, before anything is written."""

    def says(self, text: str) -> None:
        """A line that the operator wants now: a note, a warning, what is being waited for."""

    def shows_line(self, line: Line) -> None:
        """One line of a log that is being followed."""

    def ends(self, result: StepResult) -> None:
        """The step has ended."""

    def confirm(self, question: str) -> bool:
        """Ask, and return whether the answer was yes. Raises UsageError where no answer can be given."""


class NullObserver:
    """Watches and says nothing: for `--json` and for tests that look at results only."""

    def begins(self, step: str, number: int) -> None:
        """Say nothing."""

    def progresses(self, what: str, done: int, total: int) -> None:
        """Say nothing."""

    def shows_diff(self, diff: str) -> None:
        """Say nothing."""

    def says(self, text: str) -> None:
        """Say nothing."""

    def shows_line(self, line: Line) -> None:
        """Say nothing."""

    def ends(self, result: StepResult) -> None:
        """Say nothing."""

    def confirm(self, question: str) -> bool:  # noqa: ARG002 - the signature is Observer's
        """Say yes."""
        return True
