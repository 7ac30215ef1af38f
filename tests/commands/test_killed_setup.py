"""Setup as a whole, killed at any system call: the next command finds both files old, or both new, and says so."""

import pytest

from tests.commands.programs import outcome

pytestmark = pytest.mark.timeout(500)


def test_a_setup_that_is_killed_anywhere_is_put_right_by_the_next_command() -> None:
    """Before, after and in the middle of every write, fsync, rename, truncation, removal: exact bytes, same inode."""
    found = outcome("killed_setup.py", "killed", "journalled")
    assert found["violations"] == []
    assert found["points"] > 100


def test_a_rollback_that_is_killed_anywhere_is_put_right_by_the_next_command() -> None:
    """The same points; and a further setup and rollback work as if nothing had been."""
    found = outcome("killed_setup.py", "rollback", "journalled")
    assert found["violations"] == []
    assert found["points"] > 100


def test_the_undo_of_a_failed_setup_that_is_killed_anywhere_is_put_right_by_the_next_command() -> None:
    """From the refusal to the last line of the record: the old bytes are on their way back."""
    found = outcome("killed_setup.py", "undo", "journalled")
    assert found["violations"] == []
    assert found["points"] > 50


def test_a_full_disk_at_any_write_of_setup_changes_nothing() -> None:
    """Exit code 1 or 6; the old bytes at once, or by the next command if not even those could be written."""
    found = outcome("killed_setup.py", "full", "journalled")
    assert found["violations"] == []
    assert found["points"] > 30


@pytest.mark.parametrize("mode", ["killed", "rollback", "undo"])
def test_truncate_and_write_is_caught(mode: str) -> None:
    """Negative control: without the journal the same kills leave half a file, which the next setup refuses."""
    found = outcome("killed_setup.py", mode, "naive")
    assert len(found["violations"]) == 1
    assert found["violations"][0][-1] == "the next command failed"
