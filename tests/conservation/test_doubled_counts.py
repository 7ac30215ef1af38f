"""A panel adds up whatever has the name of the counter: each sink may be there once."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from runbook.conservation.snapshot import Count, Position, Snapshot
from runbook.diagnosis.boundaries.doubled_counts import Target, doubled_among

AT = datetime(2025, 11, 3, 19, 48, tzinfo=UTC)
LEADS = "apexflow.leads.created"
JOB = "crm-events-sink"
ONE, TWO, OTHER, RULE = (JOB, "a:9105"), (JOB, "b:9105"), ("copy", "c:80"), ("", "")


def shown(partition: int | None, count: int, tenant: str = "acme") -> Snapshot:
    positions = () if partition is None else (Position(topic=LEADS, partition=partition, offset=count),)
    return Snapshot(at=AT, counts=(Count(topic=LEADS, tenant_id=tenant, value=count),), positions=positions)


PAGE = shown(0, 5)
RENAMED = Snapshot(at=AT, counts=(), positions=PAGE.positions)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ({ONE: PAGE, TWO: shown(1, 7)}, set()),
        ({ONE: PAGE, OTHER: shown(0, 5)}, {ONE, OTHER}),
        ({ONE: PAGE, TWO: shown(1, 7), OTHER: shown(1, 7)}, {TWO, OTHER}),
        ({ONE: PAGE, TWO: shown(1, 7), ("copy", "b:9105"): shown(None, 7)}, {TWO, ("copy", "b:9105")}),
        ({ONE: PAGE, OTHER: shown(None, 5)}, {ONE, OTHER}),
        ({ONE: PAGE, RULE: shown(None, 5, "all")}, {ONE, RULE}),
        ({ONE: RENAMED, RULE: shown(None, 5)}, set()),
        ({RULE: shown(None, 5), (JOB, ""): shown(None, 5)}, set()),
    ],
    ids=[
        "two sinks",
        "the page's sink twice",
        "another sink twice",
        "another sink in two jobs",
        "its very counts without positions",
        "a rule adds sums",
        "a rule hands a renamed counter on",
        "rules alone",
    ],
)
def test_a_sink_that_is_there_twice_is_found(targets: Mapping[Target, Snapshot], expected: set[Target]) -> None:
    found = doubled_among(targets, PAGE)
    assert (set(found.targets) if found else set()) == expected
