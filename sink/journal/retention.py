"""How long messages are stored. They are deleted in small steps, so that the loop never waits long."""

import time
from dataclasses import dataclass
from typing import Final

OLDEST: Final = "SELECT id, received_us, (SELECT max(id) FROM message) FROM message ORDER BY id LIMIT 1"
"""The query for what `RetentionLimits.bounds` needs."""

_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneBounds:
    """One step: of the messages with an id below `step_end`, delete those below `surplus_end` and those too old."""

    step_end: int
    surplus_end: int
    delete_before_us: int  # Unix microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionLimits:
    """How many of the newest messages stay, and for how many days. Ids grow with time: the oldest has the lowest."""

    max_rows: int
    max_days: int

    def bounds(self, *, oldest: int, oldest_us: int, newest: int, most: int) -> PruneBounds | None:
        """Return the next step over the ids from oldest to newest, of at most `most` ids; None if nothing is due.

        `oldest_us` is when the oldest message came, in Unix microseconds. The newest one always stays: otherwise SQLite
        would give its id to another message.
        """
        surplus_end = newest - self.max_rows + 1
        delete_before_us = time.time_ns() // 1000 - self.max_days * _DAY_US
        if oldest >= surplus_end and oldest_us >= delete_before_us:
            return None
        step_end = min(oldest + most, newest)
        return PruneBounds(step_end=step_end, surplus_end=surplus_end, delete_before_us=delete_before_us)
