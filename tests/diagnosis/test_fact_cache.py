"""A fact is read once, however many checks ask for it at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from runbook.diagnosis.fact_cache import Fact, FactCache
from runbook.errors import UnreachableError

_ASKERS = 8


class Readings(FactCache):
    """Facts that count how often they are read."""

    def __init__(self, read: Callable[[], int]) -> None:
        super().__init__(waiting_s=0)
        self.readings: list[object] = []
        self._read_it = read

    @Fact
    def number(self) -> int:
        """Read the number."""
        self.readings.append("number")
        return self._read_it()

    @Fact
    def length(self, text: str, *, times: int = 1) -> int:
        """Measure a text."""
        self.readings.append((text, times))
        return len(text) * times


def asked_side_by_side(facts: Readings) -> list[int]:
    together = threading.Barrier(_ASKERS, timeout=20)

    def ask(_: int) -> int:
        together.wait()
        return facts.number()

    with ThreadPoolExecutor(max_workers=_ASKERS) as pool:
        return list(pool.map(ask, range(_ASKERS)))


def test_a_fact_is_read_once_for_all_who_ask() -> None:
    """Eight threads ask at the same moment; one reads, all get its answer."""
    facts = Readings(lambda: 42)

    assert asked_side_by_side(facts) == [42] * _ASKERS
    assert facts.readings == ["number"]


def test_a_fact_about_something_is_read_once_for_each() -> None:
    """What it is asked with belongs to the fact, given by place or by name."""
    facts = Readings(lambda: 42)

    assert [facts.length("a"), facts.length("bc"), facts.length("a"), facts.length("a", times=3)] == [1, 2, 1, 3]
    assert facts.readings == [("a", 1), ("bc", 1), ("a", 3)]


def test_two_installations_share_no_fact() -> None:
    assert (Readings(lambda: 1).number(), Readings(lambda: 2).number()) == (1, 2)


def test_an_error_is_a_fact_too() -> None:
    """Who asks later gets the same error, without a second time-out."""

    def refused() -> int:
        raise UnreachableError("refused", where="here", fix="start it", reason="refused")

    facts = Readings(refused)
    for _ in range(2):
        with pytest.raises(UnreachableError, match="refused"):
            facts.number()
    assert facts.readings == ["number"]


def test_time_for_waiting_is_shared_and_used_up() -> None:
    """Without time left, a fact is looked at once and taken as it is."""
    looks: list[int] = []

    def look() -> tuple[str, bool]:
        looks.append(1)
        return "not there yet", False

    assert FactCache(waiting_s=0).until(look) == "not there yet"
    assert looks == [1]
