"""The runbook from its first step to its rollback, the same on processes, on real programs and in containers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import CHECKOUT, given
from tests.journeys.journey_parts import Installation

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

LEADS, JOBS = 200, 2


def reference(path: Path) -> bytes:
    """A file as the runbook finds it; the stack only shortens the intervals of its copy."""
    return next((CHECKOUT / "monitoring").rglob(path.name)).read_bytes()


def test_the_runbook_there_and_back(
    installation: Installation, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Setup twice, 200 leads at 20 a second, each of them proven, nothing to diagnose, and every byte back."""
    before = installation.contents()
    assert reference(installation.files[0]) == before[0]

    first = installation.does("setup", "--yes")
    assert (first.code, first.document["outcome"]) == (0, "changed"), first.document
    took = f"setup on {installation.target}, {installation.programs} programs, in seconds"
    record_testsuite_property(took, first.document["duration_s"])
    after = installation.contents()
    assert after != before

    second = installation.does("setup", "--yes")
    assert (second.code, second.document["outcome"], second.document["diff"]) == (0, "unchanged", "")
    assert installation.contents() == after

    sent = installation.does("traffic", "--leads", str(LEADS), "--jobs", str(JOBS), "--rate", "20")
    assert sent.code == 0, sent.document
    assert sent.document["duration_s"] > (LEADS + JOBS - 2) / 20

    proven = installation.does("verify")
    assert proven.code == 0, proven.document
    assert [one["outcome"] for one in proven.document["criteria"]] == ["ok"] * 5
    ledger = proven.document["ledger"]
    assert (ledger["proven"], ledger["total"]) == (LEADS + JOBS, LEADS + JOBS)
    assert {one["delta"] - one["ours"] - one["others"] for one in ledger["sums"]} == {0}
    if installation.programs == "real":
        assert installation.journalled() == {"apexflow.leads.created": LEADS, "apexflow.jobs.created": JOBS}

    found = installation.does("troubleshoot")
    assert (found.code, found.document["verdict"]["outcome"]) == (0, "healthy"), found.document["verdict"]

    back = installation.does("rollback", "--yes")
    assert (back.code, back.document["outcome"]) == (0, "changed"), back.document
    proofs = {
        step["step"]: step["outcome"] for step in back.document["steps"] if "serves the old state" in step["step"]
    }
    assert proofs == {"grafana serves the old state": "ok", "prometheus serves the old state": "ok"}
    assert installation.contents() == before


def test_status_says_who_plays(installation: Installation) -> None:
    """Kafka, Keycloak and the database are called real exactly where the real programs are."""
    docker = ("--docker",) if installation.target == "docker" else ()

    status = given(installation.directory, "stack.status", *docker)

    kinds = {part["name"]: part["kind"] for part in status.document["parts"]}
    assert (status.code, kinds["kafka"], kinds["keycloak"]) == (0, installation.programs, installation.programs)
    assert kinds.get("apexflow-db", "stand-in") == installation.programs
