"""A writer that is killed at any system call, or within any write, leaves nothing that recovery cannot settle."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.posix("fork")

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("interrupted.py")
SCENARIOS = ["longer", "shorter", "mixed"]
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def outcome(mode: str, scenario: str, writer: str) -> dict[str, Any]:
    """What the program found: it forks, which a test runner with threads must not."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, PROGRAM, mode, scenario, writer],
        capture_output=True,
        check=True,
        timeout=170,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(reversed(paths))},
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_anywhere_all_files_are_old_or_all_are_new(scenario: str) -> None:
    """Before, after and between the bytes of every call: exact bytes, the same inodes, an empty journal."""
    found = outcome("once", scenario, "journalled")
    assert found["violations"] == []
    assert found["points"] > 30


@pytest.mark.parametrize("scenario", SCENARIOS if THOROUGH else ["tiny"])
def test_a_recovery_may_be_killed_too(scenario: str) -> None:
    """At every point of the recovery from a kill at every point, the next recovery settles it."""
    found = outcome("twice", scenario, "journalled")
    assert found["violations"] == []
    assert found["points"] > 100


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_disk_full_anywhere_changes_nothing(scenario: str) -> None:
    """An error, and every file as it was; if not even old bytes can be written, recovery settles it later."""
    found = outcome("full", scenario, "journalled")
    assert found["violations"] == []
    assert found["points"] > 30


@pytest.mark.parametrize("writer", ["naive", "unguarded"])
def test_broken_writers_are_caught(writer: str) -> None:
    """Negative control: truncate-and-write, and one journal for each file, do not pass the same test."""
    assert len(outcome("once", "longer", writer)["violations"]) >= 10
