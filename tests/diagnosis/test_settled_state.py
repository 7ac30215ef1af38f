"""The state of a service over two looks, in a time of the tests' own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from runbook.diagnosis.settled_state import LOOP_S, settled_state
from runbook.systems.runtime import ServiceState

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that goes on where somebody waits."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def pause(self, seconds: float) -> None:
        self.at += seconds


def state(status: str = "running", restarts: int = 0, age_s: float = 3600.0) -> ServiceState:
    code = None if status in {"running", "paused"} else 1
    started = NOW - timedelta(seconds=age_s)
    return ServiceState(name="x", found=True, status=status, restart_count=restarts, exit_code=code, started_at=started)


def settled(*looks: ServiceState) -> tuple[str, float, int]:
    """Return the state that lasts, the seconds that it took to know, and the looks; the last one is seen on and on."""
    clock, left, seen = Clock(), list(looks), []

    def look() -> ServiceState:
        seen.append(left.pop(0) if len(left) > 1 else left[0])
        return seen[-1]

    return settled_state(look, now=lambda: NOW, clock=clock).status, clock.at, len(seen)


@pytest.mark.parametrize("restarts", [0, 1, 40])
def test_what_has_run_for_a_while_is_looked_at_once(restarts: int) -> None:
    """A count of restarts alone may be of last month."""
    assert settled(state(restarts=restarts)) == ("running", 0, 1)


@pytest.mark.parametrize("status", ["exited", "paused", "created", "dead", "removing"])
def test_what_does_not_run_is_looked_at_twice(status: str) -> None:
    assert settled(state(status)) == (status, 0.5, 2)
    assert settled(state(status), state()) == ("running", 0.5, 2)


def test_what_changes_from_one_odd_state_to_another_is_looked_at_once_more() -> None:
    assert settled(state("paused"), state("exited")) == ("exited", 1.0, 3)


def test_a_restart_that_happens_once_is_no_loop() -> None:
    """Its policy starts it 0.1 s later, and it stays: also where it is watched because it is young."""
    assert settled(state("restarting", 1), state(restarts=1, age_s=0.1))[:2] == ("running", LOOP_S)
    assert settled(state(restarts=1, age_s=0.1))[:2] == ("running", LOOP_S)


def test_a_loop_is_known_by_the_count_that_grows() -> None:
    assert settled(state("restarting", 3), state("restarting", 4))[:2] == ("restarting", 0.5)
    young = [state(restarts=3, age_s=1), state(restarts=3, age_s=2), state("restarting", 4)]
    assert settled(*young) == ("restarting", 1.0, 3)


def test_a_loop_is_known_by_waiting_for_its_next_start() -> None:
    """Docker waits up to a minute then, and the count stands still."""
    assert settled(state("restarting", 9))[:2] == ("restarting", LOOP_S)


def test_a_start_that_gives_up_has_ended() -> None:
    """A policy with a limit of its tries."""
    assert settled(state("restarting", 3), state("exited", 3))[0] == "exited"


def test_between_two_starts_its_exit_code_is_kept() -> None:
    looks = iter([state("restarting", 3), state(restarts=4, age_s=0), state(restarts=4, age_s=0)])
    last = state(restarts=4, age_s=0)

    found = settled_state(lambda: next(looks, last), now=lambda: NOW, clock=Clock())

    assert (found.status, found.exit_code, found.restart_count) == ("restarting", 1, 4)
