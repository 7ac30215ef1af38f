"""The runs of one state directory, `.runbook/runs`: opened, listed, and the newest one of a kind.

A damaged run does not stop who looks for the newest one: it is passed over and returned beside it, to be named to the
operator. Only where the choice could go wrong by it, before a rollback, is it an error.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runbook.errors import RunbookError, UsageError
from runbook.invocation import inv
from runbook.private_paths import refuse_foreign
from runbook.runs.run_log import REPLACES, RunEvent, RunLog

_RUN_ID: Final = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_LAST_NAMED: Final = 3

Fits = Callable[[Sequence[RunEvent]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRun:
    """A run that cannot be read, and what is wrong with it. One that kept no backups has written no file."""

    run_log: RunLog
    problem: RunbookError
    may_have_written: bool

    def __str__(self) -> str:
        """Return the one line that names it."""
        return f"Run {self.run_log.run_id} is damaged and was skipped: {self.problem.seen} ({self.problem.where})"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestRun:
    """The newest run that fits, with its events; None if there is none. The damaged ones are newer, the newest first.

    Whoever acts on it tells the operator of those that were passed over.
    """

    run_log: RunLog | None
    events: tuple[RunEvent, ...]
    passed_over: tuple[DamagedRun, ...]


def all_runs(state_dir: Path) -> tuple[RunLog, ...]:
    """Return the runs so far, oldest first; what is named otherwise in that folder is not looked at.

    Raises RunbookError if the folder belongs to another user or cannot be read.
    """
    folder = state_dir / "runs"
    try:
        refuse_foreign(state_dir)
        refuse_foreign(folder)
        with os.scandir(folder) as entries:
            run_ids = sorted(entry.name for entry in entries if _RUN_ID.fullmatch(entry.name))
    except FileNotFoundError:
        return ()
    except OSError as error:
        fix = "run the command as the user who made the runs"
        raise RunbookError(f"The runs cannot be listed: {error.strerror}", where=str(folder), fix=fix) from None
    return tuple(RunLog(folder / run_id) for run_id in run_ids)


def open_run(state_dir: Path, run_id: str, *, target: str | None = None) -> RunLog:
    """Return an earlier run. Raises UsageError when there is none of that id, or it was on another target.

    Raises RunbookError if its beginning cannot be read.
    """
    run_logs = {run_log.run_id: run_log for run_log in all_runs(state_dir)}
    if run_id not in run_logs:
        last = ", ".join(list(run_logs)[-_LAST_NAMED:]) or "none"
        raise UsageError(
            f"There is no run {run_id!r}",
            where=str(state_dir / "runs"),
            fix=f"{inv('history')} lists them; the last ones: {last}",
        )
    run_log = run_logs[run_id]
    if target is not None and run_log.target != target:
        raise UsageError(
            f"Run {run_id} was on target {run_log.target!r}, not on {target!r}",
            where=str(run_log.folder),
            fix=f"give --target {run_log.target}, or another run ({inv('history')})",
        )
    return run_log


def newest_run(state_dir: Path, fits: Fits, *, target: str | None = None) -> NewestRun:
    """Return the newest run that fits, on `target` or on any, and the damaged runs that may have been newer ones."""
    passed_over: list[DamagedRun] = []
    for run_log in reversed(all_runs(state_dir)):
        try:
            if target is not None and run_log.target != target:
                continue
            events = run_log.events()
        except RunbookError as problem:
            if run_log.folder.exists():  # else it was old, and has just been removed
                may_have_written = _may_have_written(run_log)
                passed_over.append(DamagedRun(run_log=run_log, problem=problem, may_have_written=may_have_written))
            continue
        if fits(events):
            return NewestRun(run_log=run_log, events=events, passed_over=tuple(passed_over))
    return NewestRun(run_log=None, events=(), passed_over=tuple(passed_over))


def newest_change(state_dir: Path, stands: Fits, *, target: str) -> NewestRun:
    """Return the newest run on `target` that changed files, did not undo it, and of which `stands` holds.

    `stands` is asked of every run from the newest on, also of those that changed nothing. Raises RunbookError if a
    damaged run may have changed the files after it: to put back what an older run changed would then be wrong, and so
    is the operator's to decide.
    """
    found = newest_run(state_dir, lambda events: stands(events) and is_change(events), target=target)
    for damaged in found.passed_over:
        if damaged.may_have_written:
            raise _undecided(damaged, found.run_log)
    return found


def holds(kind: str) -> Fits:
    """Return whether a run holds an event of a kind."""
    return lambda events: any(event.kind == kind for event in events)


def is_change(events: Sequence[RunEvent]) -> bool:
    """Whether a run may have changed files, and has not undone it itself; see `write_outcome`.

    What a rollback wrote is not put back unless that run is asked for.
    """
    if not holds(REPLACES)(events) or events[0].data.get("task") == "rollback":
        return False
    return not any(event.kind == "step" and event.data.get("outcome") == "rolled_back" for event in events)


def write_outcome(events: Sequence[RunEvent]) -> str:
    """Return what became of the write that a run announced: "changed", "failed", or "" if the run was killed in it."""
    last = max((place for place, event in enumerate(events) if event.kind == REPLACES), default=len(events))
    return next((str(event.data.get("outcome")) for event in events[last:] if event.kind == "step"), "")


def _may_have_written(run_log: RunLog) -> bool:
    """Whether a damaged run may have written a file: it keeps the old bytes and says so before it does."""
    try:
        has_backups = any(run_log.backups.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        has_backups = False
    except OSError:
        has_backups = True
    return has_backups or run_log.mentions(REPLACES)


def _undecided(damaged: DamagedRun, older: RunLog | None) -> RunbookError:
    copies = f"the files as they were before run {damaged.run_log.run_id} are in {damaged.run_log.backups}"
    other = f"; {inv(f'rollback --run {older.run_id}')} puts back what the run before it changed" if older else ""
    return RunbookError(
        f"Run {damaged.run_log.run_id} may have changed the files last, and cannot be read: {damaged.problem.seen}",
        where=damaged.problem.where,
        fix=f"{copies}{other}",
    )
