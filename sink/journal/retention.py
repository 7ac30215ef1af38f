"""How long rows are kept. They are deleted in steps, so that the loop never waits long."""

import time
from dataclasses import dataclass
from typing import Final

_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """One step: of the rows with an id below `step_end`, those below `surplus_end` or older than the time go."""

    step_end: int
    surplus_end: int
    aged_before_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many of the newest rows stay, and for how many days. Ids grow with time: the oldest row has the lowest."""

    max_rows: int
    max_days: int

    def bounds(self, *, oldest: int, newest: int, most: int) -> Bounds:
        """Return the next step over ids from oldest to newest, which looks at no more than `most` ids."""
        step_end = oldest + most
        return Bounds(
            step_end=step_end,
            surplus_end=min(newest - self.max_rows + 1, step_end),
            aged_before_us=time.time_ns() // 1000 - self.max_days * _DAY_US,
        )
