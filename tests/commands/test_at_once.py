"""Two setups at once on the same files: one does its work, the other waits for nobody and loses nothing."""

import pytest

from tests.commands.programs import outcome

pytestmark = pytest.mark.timeout(300)


def test_two_setups_that_start_at_once_lose_nothing() -> None:
    """50 pairs, from one directory and from two: exit codes 0 and 5 only, and the bytes of those that ended with 0."""
    found = outcome("at_once.py", "50", "free")
    assert found["violations"] == []
    assert len(found["codes"]) == 50


def test_who_comes_while_another_works_is_told() -> None:
    """The first has checked the files and has not written: the second ends with 5, from its directory or another."""
    found = outcome("at_once.py", "4", "met")
    assert found["violations"] == []
    assert found["codes"] == [[0, 5]] * 4


def test_without_the_locks_the_second_ones_change_is_lost() -> None:
    """Negative control: in that order both end with 0, and the bytes are those of the first."""
    found = outcome("at_once.py", "4", "unlocked")
    assert found["codes"] == [[0, 0]] * 4
    assert len(found["violations"]) == 4
