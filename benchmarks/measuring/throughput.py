"""Section: how fast each contestant reads everything, in rounds A B C ... A B C ..., so that all meet the same weather.

A machine's speed varies by a third from minute to minute. So ratios are taken within a round, and their median counts.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measuring.broker import broker
from benchmarks.measuring.contestants import BASELINE, Row
from benchmarks.measuring.load import TOPICS, Load, partitions_for, produced
from benchmarks.measuring.model import Judgement, NotAvailableError, Outcome, Target
from benchmarks.measuring.piped import Run
from runbook.errors import RunbookError

TENANTS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A row after all rounds; figures are medians of the rounds, the memory is the largest."""

    name: str
    outcomes: Sequence[Outcome]
    ratio: float | None  # to kcat
    target: Target | None
    not_available: str = ""  # why

    @property
    def events_per_s(self) -> float | None:
        """Median of the runs that could be timed."""
        timed = [outcome.events_per_s for outcome in self.outcomes if outcome.events_per_s is not None]
        return statistics.median(timed) if timed else None

    @property
    def cpu_us_per_event(self) -> float | None:
        """Median, start and end of the process included."""
        known = [outcome.cpu_us_per_event for outcome in self.outcomes if outcome.cpu_us_per_event is not None]
        return statistics.median(known) if known else None

    @property
    def peak_rss_mib(self) -> float | None:
        """Largest of all runs."""
        return max((o.peak_rss_mib for o in self.outcomes if o.peak_rss_mib is not None), default=None)

    @property
    def failure(self) -> str:
        """Why a count was wrong, in the first round where one was; empty: all were exact."""
        return next((outcome.failure for outcome in self.outcomes if outcome.failure), "")

    @property
    def judgement(self) -> Judgement | None:
        """The ratio beside its target; nothing where there is no target."""
        return None if self.target is None else self.target.judge(None if self.failure else self.ratio)


def throughput(rows: Sequence[Row], *, events: int, rounds: int, says: Callable[[str], None]) -> list[Standing]:
    """Measure the rows in a broker of their own. Raises LoadError if the events do not arrive there."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, partitions = Path(scratch), partitions_for(events)
        with broker(folder, dict.fromkeys(TOPICS, partitions)) as bootstrap:
            load = produced(bootstrap, events=events, tenants=TENANTS)
            says(
                f"{events:,} events of {TENANTS} tenants in {len(TOPICS)} topics of {partitions} partitions: all there"
            )
            return race(rows, load, rounds=rounds, folder=folder, says=says)


def race(rows: Sequence[Row], load: Load, *, rounds: int, folder: Path, says: Callable[[str], None]) -> list[Standing]:
    """Run the rows one after the other, round for round; a row that is not available is asked once."""
    results: dict[str, list[Outcome]] = {row.name: [] for row in rows}
    absent: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for place, row in enumerate(rows, start=1):
            if row.name in absent:
                continue
            try:
                outcome = _run(row, load, folder / f"{number}-{place}")
            except NotAvailableError as error:
                absent[row.name] = str(error)
                says(f"round {number}: {row.name}: not available: {error}")
                continue
            results[row.name].append(outcome)
            says(f"round {number}: {row.name}: {_told(outcome)}")
    return [
        Standing(
            name=row.name,
            outcomes=results[row.name],
            ratio=_ratio(results[row.name], results.get(BASELINE.name, [])),
            target=row.target,
            not_available=absent.get(row.name, ""),
        )
        for row in rows
    ]


def _run(row: Row, load: Load, folder: Path) -> Outcome:
    """Run a row once in a fresh group and folder; being stuck is a failure like a wrong count."""
    folder.mkdir()
    try:
        return row.run(Run(load=load, folder=folder))
    except (OSError, RunbookError) as error:
        return Outcome(events_per_s=None, cpu_us_per_event=None, peak_rss_mib=None, failure=str(error).splitlines()[0])


def _ratio(outcomes: Sequence[Outcome], baseline: Sequence[Outcome]) -> float | None:
    """Return the median of the ratios within each round, of those where both have counted right."""
    ratios = [
        mine.events_per_s / kcat.events_per_s
        for mine, kcat in zip(outcomes, baseline, strict=False)
        if mine.events_per_s and kcat.events_per_s and not (mine.failure or kcat.failure)
    ]
    return statistics.median(ratios) if ratios else None


def _told(outcome: Outcome) -> str:
    pace = "too short to time" if outcome.events_per_s is None else f"{outcome.events_per_s:,.0f} events/s"
    return f"{pace}, {f'FAILED: {outcome.failure}' if outcome.failure else 'exact'}"
