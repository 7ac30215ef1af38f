"""Commands that look, behind a proxy that lets only reading through: all of them work, and say what they cannot see."""

from collections.abc import Iterator

import pytest

from tests.permissions.proxies import only_reading
from tests.permissions.recorded_stack import RecordedStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def read_only(recorded: RecordedStack) -> Iterator[RecordedStack]:
    """The stack after setup and traffic, behind a proxy that lets only reading through."""
    assert recorded.does("setup", "--yes").code == 0
    assert recorded.does("traffic", "--leads", "2", "--jobs", "1").code == 0
    with recorded.engine_allows(only_reading):
        yield recorded


@pytest.mark.parametrize("command", ["verify", "metrics", "logs --tail 20"])
def test_command_needs_no_more_than_reading(read_only: RecordedStack, command: str) -> None:
    given = read_only.does(*command.split())

    assert given.code == 0, given.document
    assert read_only.engine.refused == []


def test_troubleshoot_says_what_it_could_not_see(read_only: RecordedStack) -> None:
    """The file inside the container alone: not healthy, not broken; everything else has been checked."""
    given = read_only.does("troubleshoot")

    verdict = given.document["verdict"]
    unseen = {one["code"]: one for one in given.document["checks"] if one["status"] == "not_checked"}
    assert (given.code, verdict["outcome"]) == (3, "inconclusive"), verdict
    assert set(unseen) == {"R_NOT_MOUNTED", "R_STALE_INODE"}
    assert {one["status"] for one in given.document["checks"]} == {"ok", "not_checked"}
    assert "does not allow this (file" in str(unseen["R_NOT_MOUNTED"]["evidence"])
    assert "POST /containers/NAME/exec and POST /exec/ID/start" in verdict["fix"]
    assert "EXEC=1 POST=1" in verdict["fix"]
