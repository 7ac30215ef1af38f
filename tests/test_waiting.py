"""Waiting by a clock that the test moves: deadlines, states that cannot come, and an even pace."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import WaitError
from runbook.waiting import Impossible, Pace, Pending, wait_until, watch


@dataclass
class Clock:
    """Time that passes only in pauses."""

    at: float = 100.0
    pauses: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def pause(self, seconds: float) -> None:
        assert seconds >= 0
        self.pauses.append(seconds)
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ready_at(clock: Clock, at: float) -> Callable[[], str | Pending]:
    return lambda: "ready" if clock.at >= at else Pending(f"not at {clock.at:g}")


def wait(probe: Callable[[], str | Pending | Impossible], clock: Clock, deadline_s: float) -> str:
    return wait_until(
        probe, what="the state", deadline_s=deadline_s, where="there", fix="look", every_s=0.1, clock=clock
    )


def test_what_is_there_is_returned_without_a_pause(clock: Clock) -> None:
    assert wait(ready_at(clock, 0), clock, 0) == "ready"
    assert clock.pauses == []


def test_a_state_that_comes_exactly_at_the_deadline_is_still_seen(clock: Clock) -> None:
    assert wait(ready_at(clock, 101), clock, 1) == "ready"


@given(deadline_s=st.floats(0, 10))
def test_a_timeout_quotes_the_last_evidence_and_never_overruns(deadline_s: float) -> None:
    clock = Clock()

    with pytest.raises(WaitError) as caught:
        wait(lambda: Pending(f"seen at {clock.at!r}"), clock, deadline_s)

    assert clock.at == pytest.approx(100 + deadline_s)
    assert f"seen at {clock.at!r}" in caught.value.seen
    assert (caught.value.where, caught.value.fix) == ("there", "look")


def test_an_impossible_state_ends_the_waiting_at_once(clock: Clock) -> None:
    with pytest.raises(WaitError, match="can no longer happen: exited with 2"):
        wait(lambda: Impossible("exited with 2"), clock, 60)
    assert clock.pauses == []


def test_an_error_of_the_probe_is_not_swallowed(clock: Clock) -> None:
    def probe() -> str:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        wait(probe, clock, 60)


def test_watching_returns_the_last_evidence_when_time_is_over(clock: Clock) -> None:
    seen, is_complete = watch(lambda: (len(clock.pauses), False), deadline_s=0.35, clock=clock)

    assert (seen, is_complete) == (4, False)
    assert clock.at == pytest.approx(100.35)


def test_watching_ends_with_the_first_complete_look(clock: Clock) -> None:
    assert watch(lambda: (len(clock.pauses), len(clock.pauses) == 2), deadline_s=60, clock=clock) == (2, True)


@given(rate=st.floats(0.1, 1000), work=st.lists(st.floats(0, 3), min_size=1, max_size=30))
def test_a_pace_is_never_exceeded_whatever_the_work_takes(rate: float, work: list[float]) -> None:
    """Two turns are never closer than the interval, also after a turn that took long: nothing is made up for."""
    clock = Clock()
    pace = Pace(rate, clock=clock)
    turns = []
    for seconds in work:
        pace.wait_for_turn()
        turns.append(clock.at)
        clock.at += seconds

    assert turns[0] == 100.0
    assert all(later - earlier >= 1 / rate - 1e-9 for earlier, later in pairwise(turns))


def test_fast_work_keeps_exactly_to_the_pace(clock: Clock) -> None:
    pace = Pace(4, clock=clock)
    for _ in range(9):
        pace.wait_for_turn()
    assert clock.at == pytest.approx(102)


def test_without_a_rate_nobody_waits(clock: Clock) -> None:
    pace = Pace(None, clock=clock)
    for _ in range(100):
        pace.wait_for_turn()
    assert clock.pauses == []
