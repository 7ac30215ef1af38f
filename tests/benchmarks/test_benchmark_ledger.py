"""The ledger over a real Kafka and two sinks that are killed: the benchmark's own accounting, on fewer leads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ledger
from benchmarks.ledger import Outcome
from runbook.errors import RunbookError
from runbook.local_stack.real import found_programs

EXACT = Outcome(wanted=3, created=3, events=3, rows=3, counted=3)


@pytest.mark.real
@pytest.mark.stack
def test_every_lead_is_counted_and_kept_once_although_both_sinks_are_killed(tmp_path: Path) -> None:
    try:
        found_programs(frozenset({"kafka", "postgres"}), print)
    except RunbookError as error:
        pytest.skip(error.seen)

    outcome = ledger.run(600, directory=tmp_path)

    assert outcome.is_exact, outcome
    assert {hop: len(times) for hop, times in outcome.times.items()} == dict.fromkeys(
        ("API answered", "in Kafka", "counted and kept"), 600
    )


@pytest.mark.parametrize(
    "wrong", [{"created": 2}, {"events": 4}, {"rows": 2}, {"counted": 2}, {"counted": 4}, {"twice": 1}], ids=str
)
def test_each_kind_of_mistake_is_seen(wrong: dict[str, Any]) -> None:
    """Negative control: one lead more or less at any hop, or one row twice."""
    assert EXACT.is_exact
    assert not replace(EXACT, **wrong).is_exact
