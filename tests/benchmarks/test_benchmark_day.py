"""The simulated day: it finds a sink that leaks, one that stalls, and one that loses events."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.day import Day, run

STEADY = Day(memory=[(n / 4, 60.0 + n % 3) for n in range(96)], longest_stall_s=0.3, sent=100, counted=100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": [(n / 4, 60.0 + n / 4) for n in range(96)]},
        {"longest_stall_s": 6.0},
        {"counted": 99},
        {"counted": 101},
    ],
    ids=["leak", "stall", "lost", "twice"],
)
def test_each_kind_of_trouble_is_seen(wrong: dict[str, Any]) -> None:
    """Negative control: a day that is steady is no longer so with any one of them; a start that grows is no leak."""
    assert STEADY.is_steady
    assert replace(STEADY, memory=[(hour, mib - 30 * (hour < 3)) for hour, mib in STEADY.memory]).is_steady
    assert not replace(STEADY, **wrong).is_steady


def test_leak_is_found_in_a_real_sink() -> None:
    """A sink that never frees what it has counted is found in a short day, although it counts everything.

    Memory is measured over simulated hours, each of one burst: a slow machine does not change its growth.
    """
    day = run(minutes=0.2, burst=10_000, leaking=True)
    assert day.counted == day.sent
    assert day.leaks, day
    assert not day.is_steady
