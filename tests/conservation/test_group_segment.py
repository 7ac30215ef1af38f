"""Instances of one group hand partitions to each other: what all have counted together is still exact."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from runbook.conservation.arithmetic import kafka_to_sink
from runbook.conservation.group_segment import group_segment
from runbook.conservation.segments import passed
from runbook.conservation.snapshot import Count, Position, Snapshot
from runbook.systems.kafka.content import Content
from runbook.systems.kafka.records import CrmEvent

LEADS = "apexflow.leads.created"
AT = datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)
NAMES = ("a", "b", "c")
PARTITIONS = range(4)
STEPS = 400


class Group:
    """Three instances, of which one joins later; they count what they pass, and are scraped at moments of their own."""

    def __init__(self, seed: int, *, skips: int = 0) -> None:
        self._chance = Random(seed)  # noqa: S311 - no secret
        self._skips = skips
        self.events: list[CrmEvent] = []
        self.scrapes: dict[str, list[Snapshot]] = {name: [] for name in NAMES}
        self._counted: Counter[str] = Counter()
        self._ends: Counter[int] = Counter()
        self._started = {"a": -1.0, "b": -1.0}
        self._owners: dict[int, str] = {}
        self._assign()
        for step in range(STEPS):
            self._now = AT + timedelta(seconds=step)
            if step == STEPS // 2:
                self._started["c"] = self._now.timestamp()
                self._assign()
            self._step()

    def _assign(self) -> None:
        self._owners = {number: self._chance.choice(list(self._started)) for number in PARTITIONS}

    def _step(self) -> None:
        what = self._chance.random()
        if what < 0.02:
            self._assign()
        elif what < 0.6:
            self._event(self._chance.choice(PARTITIONS))
        else:
            self._scrape(self._chance.choice(list(self._started)))

    def _event(self, partition: int) -> None:
        content = Content(entity_id=len(self.events), tenant_id="acme", event_type="lead.created")
        offset = self._ends[partition]
        one = CrmEvent(topic=LEADS, partition=partition, offset=offset, key="", at=self._now, content=content, raw=b"")
        self.events.append(one)
        self._ends[partition] += 1
        if not self._skips or len(self.events) % self._skips:
            self._counted[self._owners[partition]] += 1

    def _scrape(self, name: str) -> None:
        mine = [number for number, owner in self._owners.items() if owner == name]
        self.scrapes[name].append(
            Snapshot(
                at=self._now,
                counts=(Count(topic=LEADS, tenant_id="acme", value=self._counted[name]),),
                positions=tuple(Position(topic=LEADS, partition=n, offset=self._ends[n]) for n in mine),
                started_s=self._started[name],
            )
        )


def differences(group: Group) -> Sequence[int]:
    found = group_segment({name: of_it for name, of_it in group.scrapes.items() if of_it})
    return [flow.difference for flow in kafka_to_sink(found, group.events)] if found else []


@pytest.mark.parametrize("seed", range(60))
def test_what_all_have_counted_is_what_all_have_passed(seed: int) -> None:
    assert not any(differences(Group(seed)))


def test_most_groups_can_be_judged_and_a_loss_is_told() -> None:
    """A stretch that is never found would prove nothing."""
    honest = [differences(Group(seed)) for seed in range(60)]
    broken = [differences(Group(seed, skips=9)) for seed in range(60)]
    assert sum(map(bool, honest)) > 30
    assert sum(any(one < 0 for one in found) for found in broken) > 30


def shown(offsets: Mapping[int, int], count: int, *, second: float, started_s: float = 0.0) -> Snapshot:
    return Snapshot(
        at=AT + timedelta(seconds=second),
        counts=(Count(topic=LEADS, tenant_id="acme", value=count),),
        positions=tuple(Position(topic=LEADS, partition=number, offset=offset) for number, offset in offsets.items()),
        started_s=started_s,
    )


def test_a_handover_lies_within() -> None:
    first = [shown({0: 3, 1: 5}, 8, second=1), shown({0: 4}, 10, second=5)]
    joined = [shown({1: 9}, 3, second=6, started_s=(AT + timedelta(seconds=2)).timestamp())]

    found = group_segment({"a": first, "b": joined})

    assert found
    assert (found.before.count(LEADS, "acme"), found.after.count(LEADS, "acme")) == (8, 13)
    assert passed(found) == {(LEADS, 0): (3, 4), (LEADS, 1): (5, 9)}


@pytest.mark.parametrize(
    "scrapes",
    [
        {"a": [shown({0: 3}, 3, second=1), shown({0: 4}, 0, second=5, started_s=9.0)]},
        {"a": [shown({0: 3}, 3, second=1), shown({0: 4}, 4, second=5)], "b": [shown({0: 4}, 9, second=6)]},
        {"a": [shown({0: 3}, 3, second=1), shown({0: 4}, 4, second=5)], "b": [shown({1: 4}, 9, second=6)]},
        {"a": [shown({0: 3}, 3, second=1)]},
    ],
    ids=["restarted", "one partition twice", "it had counted before it was scraped", "one scrape"],
)
def test_what_cannot_be_added_up_is_no_stretch(scrapes: Mapping[str, Sequence[Snapshot]]) -> None:
    assert group_segment(scrapes) is None
