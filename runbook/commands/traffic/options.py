"""The options of `traffic`."""

from dataclasses import dataclass

from runbook.errors import UsageError
from runbook.options import TargetOptions, YesOption, option, positive, whole

MOST_ENTITIES = 100_000
MOST_PER_SECOND = 10_000


@dataclass(frozen=True, kw_only=True)
class AmountOptions:
    """How much is sent: leads, jobs on those leads, and at most `rate` requests a second (None: no limit)."""

    leads: int = option(5, help="how many leads", convert=whole)
    jobs: int = option(2, help="how many jobs, on those leads", convert=whole)
    rate: float | None = option(None, help="at most this many requests a second", convert=positive)

    def __post_init__(self) -> None:
        """Refuse what cannot be sent. Raises UsageError."""
        for name, value, low in (("--leads", self.leads, 1), ("--jobs", self.jobs, 0)):
            if not low <= value <= MOST_ENTITIES:
                raise UsageError(f"{name} is {value}", where=f"option {name}", fix=f"choose {low} to {MOST_ENTITIES}")
        if self.rate is not None and not 0 < self.rate <= MOST_PER_SECOND:
            fix = f"choose more than 0, at most {MOST_PER_SECOND}"
            raise UsageError(f"--rate is {self.rate:g}", where="option --rate", fix=fix)


@dataclass(frozen=True, kw_only=True)
class TrafficOptions(TargetOptions, AmountOptions, YesOption):
    """What `traffic` was asked for."""

    timeout_s: float = option(60.0, flag="timeout", help="seconds to wait for a state", convert=positive)
