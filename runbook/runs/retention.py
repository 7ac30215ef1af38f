"""Old runs removed: those that are too many or too old, and that no later command needs."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

from runbook.errors import RunbookError
from runbook.platforms import is_alive
from runbook.runs.new_run import UNBEGUN
from runbook.runs.run_history import Fits, all_runs, holds, is_change, write_outcome
from runbook.runs.run_log import REPLACES, RESULT, TRAFFIC, RunEvent, RunLog
from runbook.settings import RunsSettings

_REMOVED: Final = ".removed-"
_BUDGET_S: Final = 0.25
_QUIET: Final = timedelta(days=1)
"""A run without a result that wrote within this time counts as at work, also if its process cannot be seen."""


def remove_old_runs(
    state_dir: Path, kept: RunsSettings, *, target: str, now: datetime | None = None, budget_s: float = _BUDGET_S
) -> None:
    """Remove the runs of `target` beyond the newest `keep` or older than `keep_days`, as far as the time allows.

    Kept at any age: damaged runs, runs at work, the newest traffic run, and the newest change of files that can be put
    back. Never raises: what cannot be removed now may be by the next run.
    """
    ends = time.monotonic() + budget_s
    now = now or datetime.now(UTC)
    with suppress(OSError, RunbookError):
        _remove_leftovers(state_dir / "runs", now)
        run_logs = all_runs(state_dir)
        if len(run_logs) <= kept.keep and not any(_is_older(one, kept, now) for one in run_logs[:1]):
            return
        needed = _Needed(run_logs, target=target, now=now)
        for run_log in _excess(run_logs, kept, target=target, now=now, ends=ends):
            with suppress(OSError):
                if not needed.holds(run_log):
                    _remove(run_log.folder)


class _Needed:
    """Which runs of a target a later command may still need."""

    def __init__(self, run_logs: Sequence[RunLog], *, target: str, now: datetime) -> None:
        """Take all runs, oldest first."""
        self._run_logs = run_logs
        self._target = target
        self._now = now

    def holds(self, run_log: RunLog) -> bool:
        """Whether a run is at work, damaged, or the newest one to verify or to put back."""
        try:
            events = run_log.events()
        except RunbookError:
            return True
        if not holds(RESULT)(events) and self._is_at_work(events):
            return True
        if holds(TRAFFIC)(events) and run_log.run_id >= self._newest_traffic:
            return True
        return is_change(events) and write_outcome(events) != "failed" and run_log.run_id >= self._newest_change

    def _is_at_work(self, events: Sequence[RunEvent]) -> bool:
        return self._now - events[-1].at < _QUIET or _is_alive(events[0].data.get("pid"))

    @cached_property
    def _newest_traffic(self) -> str:
        return self._newest(TRAFFIC, holds(TRAFFIC))

    @cached_property
    def _newest_change(self) -> str:
        """Of the changes that were written for certain; one that was killed meanwhile may have written nothing."""
        return self._newest(REPLACES, lambda events: is_change(events) and write_outcome(events) == "changed")

    def _newest(self, kind: str, fits: Fits) -> str:
        for run_log in reversed(self._run_logs):
            with suppress(RunbookError):
                if run_log.mentions(kind) and run_log.target == self._target and fits(run_log.events()):
                    return run_log.run_id
        return ""


def _excess(
    run_logs: Sequence[RunLog], kept: RunsSettings, *, target: str, now: datetime, ends: float
) -> Iterator[RunLog]:
    """Yield the runs of a target that are too many or too old, until the time is over."""
    younger = 0
    for run_log in reversed(run_logs):
        if time.monotonic() >= ends:
            return
        if _target(run_log) != target:
            continue
        if younger >= kept.keep or _is_older(run_log, kept, now):
            yield run_log
        else:
            younger += 1


def _target(run_log: RunLog) -> str:
    """Return the target of a run; empty where its beginning is damaged."""
    with suppress(RunbookError):
        return run_log.target
    return ""


def _is_older(run_log: RunLog, kept: RunsSettings, now: datetime) -> bool:
    try:
        began = datetime.strptime(run_log.run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # digits that are no time: it was not made by us
        return False
    return now - began > timedelta(days=kept.keep_days)


def _is_alive(pid: object) -> bool:
    """Whether a process of that id runs here; that it is the same one is not known."""
    return isinstance(pid, int) and pid > 0 and is_alive(pid)


def _remove(folder: Path) -> None:
    """Remove a run at once for every reader: its folder is renamed before it is emptied."""
    aside = folder.with_name(f"{_REMOVED}{folder.name}")
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _remove_leftovers(runs: Path, now: datetime) -> None:
    """Remove what a killed command left: half removed runs, and runs that never began."""
    for path in runs.iterdir():
        is_stale = path.name.startswith(UNBEGUN) and now.timestamp() - path.stat().st_mtime > _QUIET.total_seconds()
        if is_stale or path.name.startswith(_REMOVED):
            shutil.rmtree(path, ignore_errors=True)
