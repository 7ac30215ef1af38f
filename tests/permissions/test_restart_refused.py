"""Setup and rollback behind a proxy that lets nobody restart anything: said before a byte is written."""

from collections.abc import Iterator

import pytest

from tests.installation import looks_of
from tests.permissions.proxies import only_reading, reading_and_restarts
from tests.permissions.recorded_stack import Given, RecordedStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture
def read_only(recorded: RecordedStack) -> Iterator[RecordedStack]:
    """The stack in the state before the runbook, behind a proxy that lets only reading through."""
    with recorded.engine_allows(only_reading):
        yield recorded


@pytest.fixture
def set_up(recorded: RecordedStack) -> Iterator[RecordedStack]:
    """The stack after setup; in the state before it afterwards."""
    assert recorded.does("setup", "--yes").code == 0
    yield recorded
    recorded.does("rollback", "--yes")


def refused_restarts(recorded: RecordedStack) -> list[str]:
    """Return what was refused of the containers that there are, and nothing of the question before."""
    return [
        request for request in recorded.engine.refused if any(one in request for one in recorded.inside.inspections)
    ]


def says_what_is_missing(given: Given, container: str) -> None:
    """Three parts: what was refused, by which engine, and what to let through or to do by hand instead."""
    problem = given.document["error"]
    assert problem["seen"].startswith("The Docker engine, or a proxy before it, does not allow this"), problem
    assert f"restart {container}" in problem["seen"]
    assert "403" in problem["seen"]
    assert "Docker engine at unix://" in problem["where"]
    assert "POST /containers/NAME/restart" in problem["fix"]
    assert "ALLOW_RESTARTS=1" in problem["fix"]
    assert "<html>" not in str(problem)


def test_setup_says_so_before_it_writes(read_only: RecordedStack) -> None:
    before = looks_of(*read_only.files)

    given = read_only.does("setup", "--yes")

    assert (given.code, given.document["outcome"]) == (1, "failed")
    says_what_is_missing(given, "aether-grafana")
    assert "nothing was written" in given.document["error"]["seen"]
    assert "; or add --no-restart, then docker " in given.document["error"]["fix"]
    assert given.document["error"]["fix"].endswith(" restart aether-grafana")
    assert looks_of(*read_only.files) == before
    assert (len(read_only.engine.refused), refused_restarts(read_only)) == (1, [])


def test_setup_and_rollback_without_restart_need_no_more_than_reading(read_only: RecordedStack) -> None:
    before = [path.read_bytes() for path in read_only.files]

    there = read_only.does("setup", "--yes", "--no-restart")
    written = [path.read_bytes() for path in read_only.files]
    back = read_only.does("rollback", "--yes", "--no-restart")

    assert (there.code, there.document["outcome"], back.code) == (0, "changed", 0)
    assert written != before
    assert [path.read_bytes() for path in read_only.files] == before
    assert read_only.engine.refused == []


def test_rollback_says_so_before_it_writes(set_up: RecordedStack) -> None:
    before = looks_of(*set_up.files)

    with set_up.engine_allows(only_reading):
        given = set_up.does("rollback", "--yes")

    assert (given.code, given.document["outcome"]) == (1, "failed")
    says_what_is_missing(given, "aether-grafana")
    assert looks_of(*set_up.files) == before
    assert refused_restarts(set_up) == []


def test_restart_that_is_refused_after_the_write_is_undone(recorded: RecordedStack) -> None:
    """A proxy that lets the question through and refuses the restart: the files come back, the right is named."""
    before = [path.read_bytes() for path in recorded.files]

    def allows(method: str, path: str) -> bool:
        return only_reading(method, path) or not any(one in path for one in recorded.inside.inspections)

    with recorded.engine_allows(allows):
        given = recorded.does("setup", "--yes", "--timeout", "5")

    assert given.code != 0
    says_what_is_missing(given, "aether-grafana")
    assert "The files are as before" in given.document["error"]["seen"]
    assert [path.read_bytes() for path in recorded.files] == before
    assert refused_restarts(recorded)


def test_setup_with_the_right_to_restart_alone(recorded: RecordedStack) -> None:
    """The file inside cannot be compared, so Prometheus is restarted, which needs no comparison."""
    with recorded.engine_allows(reading_and_restarts):
        given = recorded.does("setup", "--yes")
        back = recorded.does("rollback", "--yes")

    assert (given.code, given.document["outcome"], back.code) == (0, "changed", 0), given.document
    reasons = " ".join(step["reason"] for step in given.document["steps"])
    assert "aether-prom has been restarted: the file inside cannot be read" in reasons
