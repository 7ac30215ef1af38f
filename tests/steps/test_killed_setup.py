"""Setup as a whole, killed at any system call: the next command finds both files old, or both new, and says so."""

from programs import outcome


def test_a_setup_that_is_killed_anywhere_is_put_right_by_the_next_command() -> None:
    """Before, after and in the middle of every write, fsync, rename, truncation, removal: exact bytes, same inode."""
    found = outcome("killed_setup.py", "killed", "journalled")
    assert found["violations"] == []
    assert found["points"] > 100


def test_a_full_disk_at_any_write_of_setup_changes_nothing() -> None:
    """Exit code 1 or 6; the old bytes at once, or by the next command if not even those could be written."""
    found = outcome("killed_setup.py", "full", "journalled")
    assert found["violations"] == []
    assert found["points"] > 30


def test_truncate_and_write_is_caught() -> None:
    """Negative control: without the journal the same kills leave other bytes."""
    found = outcome("killed_setup.py", "killed", "naive")
    assert len(found["violations"]) == 1
    assert found["violations"][0][-1] == "the next command failed", "the file is no dashboard any more"
