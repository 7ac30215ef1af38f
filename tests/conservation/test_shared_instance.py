"""Several sinks that Prometheus takes for one instance; a sink that was restarted is not several."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.conservation.snapshot import Count, Snapshot
from runbook.diagnosis.boundaries.shared_instance import taking_turns

AT = datetime(2025, 11, 3, 19, 48, tzinfo=UTC)
LEADS = "apexflow.leads.created"


def scrapes(*processes: tuple[float | None, int]) -> tuple[Snapshot, ...]:
    """Return a scrape every ten seconds, each of the process that was started then, with its count."""
    return tuple(
        Snapshot(
            at=AT + timedelta(seconds=10 * number),
            counts=(Count(topic=LEADS, tenant_id="acme", value=value),),
            positions=(),
            started_s=started_s,
        )
        for number, (started_s, value) in enumerate(processes)
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(1.0, 3), (2.0, 4), (1.0, 5)], "9 in, 5 out, 4 missing at sink:9105"),
        ([(1.0, 3), (2.0, 0), (1.0, 5), (2.0, 0)], "5 in, 0 out, 5 missing at sink:9105"),
        ([(2.0, 0), (1.0, 5), (2.0, 0), (1.0, 5)], "5 in, 0 out, 5 missing at sink:9105"),
        ([(1.0, 3), (2.0, 3), (3.0, 4), (1.0, 3), (2.0, 4)], "11 in, 4 out, 7 missing at sink:9105"),
    ],
    ids=["a load balancer", "one has counted nothing", "and the other is seen now", "three"],
)
def test_sinks_that_take_turns_are_located(seen: list[tuple[float | None, int]], expected: str) -> None:
    found = taking_turns({"sink:9105": scrapes(*seen)}, name="sink to Prometheus")

    assert found
    assert (found.outcome, found.told()) == ("failed", expected)


@pytest.mark.parametrize(
    "seen",
    [
        [(1.0, 3), (1.0, 4), (1.0, 5)],
        [(1.0, 3), (2.0, 0), (2.0, 5)],
        [(1.0, 3), (2.0, 0), (3.0, 0), (4.0, 1)],
        [(None, 3), (None, 1), (None, 4)],
        [],
    ],
    ids=["one sink", "restarted", "restarted again and again", "its start is not told", "no scrape"],
)
def test_a_sink_that_was_restarted_is_one(seen: list[tuple[float | None, int]]) -> None:
    assert taking_turns({"sink:9105": scrapes(*seen)}, name="sink to Prometheus") is None
