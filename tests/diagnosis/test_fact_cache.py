"""A fact is read once, however many checks ask for it at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from runbook.diagnosis.fact_cache import Once
from runbook.errors import UnreachableError

_ASKERS = 8


def asked_side_by_side(once: Once, read: Callable[[], int]) -> list[int]:
    together = threading.Barrier(_ASKERS, timeout=20)

    def ask(_: int) -> int:
        together.wait()
        return once.once("fact", read)

    with ThreadPoolExecutor(max_workers=_ASKERS) as pool:
        return list(pool.map(ask, range(_ASKERS)))


def test_a_fact_is_read_once_for_all_who_ask() -> None:
    """Eight threads ask at the same moment; one reads, all get its answer."""
    readings: list[int] = []

    def read() -> int:
        readings.append(1)
        return 42

    assert asked_side_by_side(Once(patience_s=0), read) == [42] * _ASKERS
    assert readings == [1]


def test_an_error_is_a_fact_too() -> None:
    """Who asks later gets the same error, without a second time-out."""
    once, readings = Once(patience_s=0), []

    def read() -> int:
        readings.append(1)
        raise UnreachableError("refused", where="here", fix="start it", reason="refused")

    for _ in range(2):
        with pytest.raises(UnreachableError, match="refused"):
            once.once("fact", read)
    assert readings == [1]


def test_patience_is_shared_and_used_up() -> None:
    """Without patience left, a fact is looked at once and taken as it is."""
    looks: list[int] = []

    def look() -> tuple[str, bool]:
        looks.append(1)
        return "not there yet", False

    assert Once(patience_s=0).until(look) == "not there yet"
    assert looks == [1]
