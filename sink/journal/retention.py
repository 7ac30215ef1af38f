"""How long rows are kept. They are deleted in steps, so that the loop never waits long."""

import time
from dataclasses import dataclass
from typing import Final

OLDEST: Final = "SELECT id, received_us, (SELECT max(id) FROM message) FROM message ORDER BY id LIMIT 1"
"""The query for what `Limits.bounds` needs."""

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

    def bounds(self, *, oldest: int, oldest_us: int, newest: int, most: int) -> Bounds | None:
        """Return the next step over ids from oldest to newest, of at most `most` ids; None if nothing is to go.

        `oldest_us` is when the oldest row came, in Unix microseconds. The newest row always stays: SQLite would give
        its id to another one.
        """
        surplus_end = newest - self.max_rows + 1
        aged_before_us = time.time_ns() // 1000 - self.max_days * _DAY_US
        if oldest >= surplus_end and oldest_us >= aged_before_us:
            return None
        step_end = min(oldest + most, newest)
        return Bounds(step_end=step_end, surplus_end=surplus_end, aged_before_us=aged_before_us)
