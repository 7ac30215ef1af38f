"""Waiting for a state, with a deadline. The only place of this project that sleeps."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from runbook.errors import WaitError
from runbook.interrupts import raise_if_interrupted

T = TypeVar("T")


class Clock(Protocol):
    """The time that waiting lives by; tests pass their own."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def pause(self, seconds: float) -> None:
        """Let that much time pass."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Pending:
    """The state is not there yet; `saw` is what the time-out will quote."""

    saw: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """The state can no longer come (the process has exited): waiting on is pointless."""

    saw: str


def wait_until(
    probe: Callable[[], T | Pending | Impossible],
    *,
    what: str,
    deadline_s: float,
    where: str,
    fix: str,
    every_s: float = 0.1,
    clock: Clock | None = None,
) -> T:
    """Return the first answer of `probe` that is neither Pending nor Impossible.

    `probe` is asked at least once, then every `every_s` seconds. Raises WaitError, with the last evidence,
    when `deadline_s` seconds have passed or the probe says that the state has become impossible.
    """
    time_source = clock or SystemClock()
    end = time_source.now() + deadline_s
    while True:
        raise_if_interrupted()
        answer = probe()
        if isinstance(answer, Impossible):
            raise WaitError(f"{what} can no longer happen: {answer.saw}", where=where, fix=fix)
        if not isinstance(answer, Pending):
            return answer
        left = end - time_source.now()
        if left <= 0:
            raise WaitError(f"{what} was not seen within {deadline_s:g} s: {answer.saw}", where=where, fix=fix)
        time_source.pause(min(every_s, left))


def watch(
    look: Callable[[], tuple[T, bool]], *, deadline_s: float, every_s: float = 0.1, clock: Clock | None = None
) -> tuple[T, bool]:
    """Look again and again until the second part of the answer is true; return the last answer either way.

    For evidence that counts even when it is not complete; `look` is asked at least once.
    """
    time_source = clock or SystemClock()
    end = time_source.now() + deadline_s
    while True:
        raise_if_interrupted()
        seen, is_complete = look()
        left = end - time_source.now()
        if is_complete or left <= 0:
            return seen, is_complete
        time_source.pause(min(every_s, left))


class Pace:
    """Lets at most `per_second` turns through each second; without a rate, every turn at once."""

    def __init__(self, per_second: float | None, *, clock: Clock | None = None) -> None:
        """Begin now; the first turn never waits."""
        self._interval = 1 / per_second if per_second else 0.0
        self._clock = clock or SystemClock()
        self._next = self._clock.now()

    def wait_for_turn(self) -> None:
        """Pause until the next turn is due; turns that came late are not made up for."""
        now = self._clock.now()
        if now < self._next:
            self._clock.pause(self._next - now)
        self._next = max(now, self._next) + self._interval
