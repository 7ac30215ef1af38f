"""What a measurement returns: samples, outcomes of single runs, targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class NotAvailableError(Exception):
    """A contestant cannot run here; the text says why. It is shown, and is neither a failure nor a zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How many events a contestant had done at a moment."""

    at_s: float
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run of one contestant."""

    events_per_s: float | None  # None: the run was too short to be timed
    cpu_us_per_event: float | None  # user and system time of the whole process, start and end included
    peak_rss_mib: float | None  # None: the system does not tell
    failure: str = ""  # why the count is wrong; empty: it is exact


class Judgement(StrEnum):
    """A figure beside its target."""

    MET = "met"
    MISSED = "missed"
    MISSED_WIDELY = "missed widely"  # by half or more: the benchmark fails
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A limit that a figure should keep: at least, or at most (inclusive)."""

    limit: float
    at_least: bool
    unit: str = ""

    def judge(self, figure: float | None) -> Judgement:
        """Compare a figure with the limit; half of what is wanted, or twice what is allowed, is missed widely."""
        if figure is None:
            return Judgement.NOT_MEASURED
        share = figure / self.limit if self.at_least else self.limit / max(figure, 1e-9)
        if share >= 1:
            return Judgement.MET
        return Judgement.MISSED if share > 1 / 2 else Judgement.MISSED_WIDELY

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{self.unit}"


def pace(samples: Sequence[Sample], events: int) -> float | None:
    """Return events per second between the first and the last sample, the same for every contestant.

    What was done before the first sample is left out, with its time: so start-up, the join of the group and the wait
    for its first partitions are nobody's cost. None if the samples span less than half of the events: too short to say.
    """
    seen = [sample for sample in samples if sample.events]
    if len(seen) < 2:  # noqa: PLR2004  # two ends make a stretch
        return None
    first, last = seen[0], max(seen, key=lambda sample: (sample.events, -sample.at_s))
    done, seconds = last.events - first.events, last.at_s - first.at_s
    return done / seconds if done >= events / 2 and seconds > 0 else None
