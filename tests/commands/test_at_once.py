"""Two setups at once on the same files: one does its work, the other waits for nobody and loses nothing."""

from programs import outcome


def test_of_two_setups_at_once_one_is_told_that_the_other_works() -> None:
    """50 pairs, from one directory and from two: exit codes 0 and 5 only, and the bytes of those that ended with 0."""
    found = outcome("at_once.py", "50", "locked")
    assert found["violations"] == []
    assert found["pairs"] == 50
    assert sum(number for codes, number in found["codes"].items() if "5" in codes) > 0, "no pair ever met"


def test_without_the_locks_the_same_pairs_go_wrong() -> None:
    """Negative control: both have checked before either writes."""
    found = outcome("at_once.py", "5", "unlocked")
    assert len(found["violations"]) == found["pairs"] == 5
