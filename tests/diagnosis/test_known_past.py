"""How far back the sink's past is looked at, and when a record of it still counts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from runbook.conservation.snapshot import Count, Position, Snapshot
from runbook.diagnosis.boundaries import known_past, recorded_page

LEADS, JOBS = "apexflow.leads.created", "apexflow.jobs.created"
AT = datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)
FACTS: Any = None  # what is asked of it is put in its place


def shown(counts: Mapping[str, int], *, second: float, offset: int = 9, started_s: float = 1.0) -> Snapshot:
    return Snapshot(
        at=AT + timedelta(seconds=second),
        counts=tuple(Count(topic=topic, tenant_id="acme", value=value) for topic, value in counts.items()),
        positions=() if offset < 0 else (Position(topic=LEADS, partition=0, offset=offset),),
        started_s=started_s,
    )


@pytest.mark.parametrize(
    ("seconds", "ahead_s", "expected"),
    [
        ([-20, -10, 5], 0, [-10, 5]),
        ([3, 5], 0, [3, 5]),
        ([-20, 295, 305], 300, [295, 305]),
    ],
    ids=["the last one before the run", "none before it", "by Prometheus's clock"],
)
def test_the_past_begins_at_the_newest_run(
    seconds: list[float], ahead_s: float, expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was lost before it is outside the time that is looked at."""
    run = SimpleNamespace(baseline=SimpleNamespace(at=AT))
    monkeypatch.setattr(known_past, "newest_run", lambda _: run)
    monkeypatch.setattr(known_past, "clock_ahead", lambda _: timedelta(seconds=ahead_s))

    cut = known_past._since_the_run(FACTS, {"a": tuple(shown({}, second=at) for at in seconds)})  # noqa: SLF001

    assert [(one.at - AT).total_seconds() for one in cut["a"]] == expected


def test_a_scrape_without_positions_is_no_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sink hides them while a new series is shown at 0."""
    monkeypatch.setattr(known_past, "newest_run", lambda _: SimpleNamespace(baseline=SimpleNamespace(at=AT)))
    monkeypatch.setattr(known_past, "clock_ahead", lambda _: timedelta())
    scrapes = (shown({}, second=-20), shown({}, second=-10, offset=-1), shown({}, second=5))

    assert known_past._since_the_run(FACTS, {"a": scrapes}) == {"a": scrapes}  # noqa: SLF001


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (shown({}, second=60, started_s=2.0), True),
        (shown({LEADS: 2}, second=60, offset=11, started_s=2.0), True),
        (shown({LEADS: 6}, second=60, started_s=2.0), False),
        (shown({LEADS: 6, JOBS: 3}, second=60, started_s=2.0), False),
        (shown({}, second=60), False),
    ],
    ids=["a new journal", "which has counted what came", "jobs are gone", "a restart", "the same process"],
)
def test_a_new_journal_is_told_from_one_that_has_lost_counts(
    page: Snapshot, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, scraped = shown({}, second=0), shown({LEADS: 6, JOBS: 3}, second=30)
    monkeypatch.setattr(recorded_page, "remembered", lambda _: {"a": (scraped,)})

    assert recorded_page._began_at_zero(FACTS, recorded, page) == expected  # noqa: SLF001
