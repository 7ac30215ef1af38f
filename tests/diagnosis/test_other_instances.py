"""Kafka to sink, for instances that are known by their scrapes alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbook.conservation.snapshot import Position, Snapshot
from runbook.diagnosis.boundaries import other_instances
from runbook.diagnosis.boundaries.other_instances import not_passed_by_others
from runbook.errors import RunbookError
from runbook.systems.kafka.content import Content
from runbook.systems.kafka.records import CrmEvent

LEADS = "apexflow.leads.created"
AT = datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)
MINE, THEIRS = (LEADS, 0), (LEADS, 1)


@dataclass
class Looks:
    """Looks once."""

    def until(self, look: Callable[[], tuple[Any, bool]]) -> Any:  # noqa: ANN401  # whatever is looked at
        return look()[0]


def shown(place: tuple[str, int], offset: int, *, second: float) -> Snapshot:
    position = Position(topic=place[0], partition=place[1], offset=offset)
    return Snapshot(at=AT + timedelta(seconds=second), counts=(), positions=(position,))


def event(place: tuple[str, int], offset: int) -> CrmEvent:
    content = Content(tenant_id="acme", event_type="lead.created", entity_id=offset)
    return CrmEvent(topic=place[0], partition=place[1], offset=offset, at=AT, key="", content=content, raw=b"")


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Return the offsets that others have not passed, of five events in each partition at second 0."""
    events = [event(place, offset) for place in (MINE, THEIRS) for offset in range(5)]

    def between(_: object, ranges: Mapping[tuple[str, int], tuple[int, int]]) -> tuple[CrmEvent, ...]:
        return tuple(one for one in events if one.offset in range(*ranges.get((one.topic, one.partition), (0, 0))))

    def asked(*theirs: Snapshot) -> list[int]:
        scrapes = {"own": (shown(MINE, 0, second=9),), "other": theirs}
        monkeypatch.setattr(other_instances, "sink_is_alone", lambda _: False)
        monkeypatch.setattr(other_instances, "remembered_now", lambda _: scrapes)
        monkeypatch.setattr(other_instances, "fresh", lambda _, of: of)
        monkeypatch.setattr(other_instances, "clock_ahead", lambda _: timedelta())
        monkeypatch.setattr(other_instances, "events_between", between)
        page = shown(MINE, 5, second=10)
        found = not_passed_by_others(Looks(), page, {MINE: 5, THEIRS: 5})  # type: ignore[arg-type]  # what it uses
        assert all((one.topic, one.partition) == THEIRS for one in found), "the page tells of its own partitions"
        return [one.offset for one in found]

    return asked


def test_an_instance_that_stands_still_is_seen(late: Callable[..., list[int]]) -> None:
    """Its position lies behind events that were there well before its newest scrape."""
    assert late(shown(THEIRS, 2, second=3), shown(THEIRS, 2, second=6)) == [2, 3, 4]


@pytest.mark.parametrize(
    "scrapes",
    [(shown(THEIRS, 5, second=6),), (shown(THEIRS, 0, second=1),), (shown(THEIRS, 0, second=-9),), ()],
    ids=["it has passed them", "they came with the scrape", "they came after the scrape", "it was not scraped"],
)
def test_what_no_scrape_can_tell_yet_is_not_late(late: Callable[..., list[int]], scrapes: tuple[Snapshot, ...]) -> None:
    assert late(*scrapes) == []


def test_a_prometheus_that_is_away_accuses_nobody(
    late: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boundary says by itself that the other instances are not known."""

    def away(_: object) -> bool:
        raise RunbookError("away", where="x", fix="y")

    assert late(shown(THEIRS, 2, second=6)) == [2, 3, 4]
    monkeypatch.setattr(other_instances, "sink_is_alone", away)
    page = shown(MINE, 5, second=10)
    assert not_passed_by_others(Looks(), page, {THEIRS: 5}) == ()  # type: ignore[arg-type]  # what it uses
