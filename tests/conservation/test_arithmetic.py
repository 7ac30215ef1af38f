"""Between two snapshots of one process the sums close, whatever happens; a loss is told with its integer."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runbook.conservation.arithmetic import (
    api_to_kafka,
    born,
    counted_from_zero,
    grown,
    kafka_to_sink,
    sink_to_prometheus,
    unread,
    within,
    without_positions,
)
from runbook.conservation.boundary import Boundary, Flow
from runbook.conservation.segments import Segment, segments, trusted
from runbook.conservation.snapshot import Count, Position, Rejected, Snapshot
from runbook.model import Created
from runbook.systems.kafka.content import Content
from runbook.systems.kafka.records import CrmEvent

LEADS, JOBS = "apexflow.leads.created", "apexflow.jobs.created"
AT = datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)
PARTITIONS = [(LEADS, 0), (LEADS, 1), (JOBS, 0)]
TENANTS = ["acme", "globex", "initech"]


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - the same world again for the same seed


@dataclass
class World:
    """A topic with messages, and a sink that counts them; its chance decides what happens next."""

    chance: Random
    restores: bool = True
    log: dict[tuple[str, int], list[CrmEvent]] = field(default_factory=lambda: {place: [] for place in PARTITIONS})
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=lambda: Counter({LEADS: 0, JOBS: 0}))
    positions: dict[tuple[str, int], int] = field(default_factory=lambda: dict.fromkeys(PARTITIONS, 0))
    assigned: list[tuple[str, int]] = field(default_factory=lambda: list(PARTITIONS))
    scrapes: list[Snapshot] = field(default_factory=list)
    new: set[tuple[str, str]] = field(default_factory=set)
    started_s: float = 1.0
    assignments: int = 1

    @property
    def events(self) -> list[CrmEvent]:
        return [event for events in self.log.values() for event in events]

    def step(self) -> None:
        """Let one thing happen."""
        self.chance.choices(
            [self.produce, self.count, self.scrape, self.restart, self.rebalance], weights=[6, 6, 4, 1, 1]
        )[0]()

    def produce(self) -> None:
        topic, partition = self.chance.choice(PARTITIONS)
        events = self.log[topic, partition]
        offset = (events[-1].offset if events else -1) + self.chance.choice([1, 1, 1, 3])  # transactions leave gaps
        content = (
            Content(rejected="not_json")
            if self.chance.random() < 0.2
            else Content(tenant_id=self.chance.choice(TENANTS), event_type="x.created", entity_id=len(self.events))
        )
        at = AT + timedelta(seconds=len(self.events))
        events.append(
            CrmEvent(topic=topic, partition=partition, offset=offset, key="", at=at, content=content, raw=b"")
        )

    def count(self) -> None:
        """Count all that one partition holds."""
        place = self.chance.choice(self.assigned)
        for event in self.log[place]:
            if event.offset >= self.positions[place]:
                self.take(event)
                self.positions[place] = event.offset + 1

    def take(self, event: CrmEvent) -> None:
        if event.content.rejected:
            self.rejected[event.topic] += 1
            return
        if (event.topic, event.content.tenant_id) not in self.counts:
            self.new.add((event.topic, event.content.tenant_id))
        self.counts[event.topic, event.content.tenant_id] += 1

    def page(self) -> Snapshot:
        return Snapshot(
            at=AT + timedelta(seconds=10 * len(self.scrapes)),
            counts=tuple(Count(topic=topic, tenant_id=tenant, value=n) for (topic, tenant), n in self.counts.items()),
            positions=tuple(Position(topic=t, partition=p, offset=self.positions[t, p]) for t, p in self.assigned),
            rejected=tuple(Rejected(topic=topic, value=value) for topic, value in self.rejected.items()),
            started_s=self.started_s,
            journal="sqlite" if self.restores else "postgresql",
            assignments=self.assignments,
        )

    def scrape(self) -> None:
        """A scrape that shows a new series at zero hides the positions."""
        shown = self.page()
        counts = tuple(replace(one, value=0) if (one.topic, one.tenant_id) in self.new else one for one in shown.counts)
        self.scrapes.append(replace(shown, counts=counts, positions=() if self.new else shown.positions))
        self.new = set()

    def restart(self) -> None:
        self.started_s += 1
        self.new = set()
        if not self.restores:
            self.counts, self.rejected = Counter(), Counter({LEADS: 0, JOBS: 0})

    def rebalance(self) -> None:
        self.assignments += 1
        self.assigned = self.chance.sample(PARTITIONS, self.chance.randint(1, len(PARTITIONS)))


def flows_of(world: World) -> list[Flow]:
    found, _ = segments([*trusted(world.scrapes), world.page()])
    return [flow for segment in found for flow in kafka_to_sink(segment, world.events)]


def wrong(flows: list[Flow]) -> dict[tuple[str, str], int]:
    totals: Counter[tuple[str, str]] = Counter()
    for flow in flows:
        totals[flow.topic, flow.tenant_id] += flow.difference
    return {key: difference for key, difference in totals.items() if difference}


@given(seed=st.integers(0, 10**9), restores=st.booleans())
def test_an_honest_sink_closes_over_everything(seed: int, restores: bool) -> None:
    """Gaps, rejected messages, rebalances, restarts with and without totals, hidden positions."""
    world = World(chance(seed), restores=restores)
    for _ in range(60):
        world.step()

    assert wrong(flows_of(world)) == {}


def dropped(snapshot: Snapshot, topic: str) -> Snapshot:
    return replace(snapshot, counts=tuple(one for one in snapshot.counts if one.topic != topic))


def renamed(snapshot: Snapshot, topic: str) -> Snapshot:
    return replace(
        snapshot, counts=tuple(replace(one, tenant_id="x") if one.topic == topic else one for one in snapshot.counts)
    )


def test_a_process_with_another_journal_says_nothing_of_the_one_before() -> None:
    """Its series began anew: what the other one showed was not changed on its way."""
    place, acme = (LEADS, 0), (LEADS, "acme")
    first = [
        replace(one, started_s=1.0, journal="sqlite")
        for one in (snapshot({}, {place: 0}), snapshot({acme: 7}, {place: 7}))
    ]
    new = replace(snapshot({}, {place: 7}), started_s=2.0, journal="sqlite")
    same = replace(snapshot({acme: 7}, {place: 7}), started_s=2.0, journal="sqlite")

    assert trusted([*first, new]) == (new,)
    assert trusted([*first, same]) == (first[1], same)


@pytest.mark.parametrize("change", [dropped, renamed])
def test_what_was_whole_before_and_after_is_kept(change: Callable[[Snapshot, str], Snapshot]) -> None:
    """Also where a series is born within."""
    place, acme, globex = (LEADS, 0), (LEADS, "acme"), (LEADS, "globex")
    scrapes = [
        snapshot({acme: 1}, {place: 1}),
        snapshot({acme: 1, globex: 0}, {}),
        snapshot({acme: 1, globex: 1}, {place: 2}),
        change(snapshot({acme: 2, globex: 1}, {place: 3}), LEADS),
        snapshot({acme: 3, globex: 1}, {place: 4}),
    ]

    assert trusted(scrapes) == (*scrapes[:3], scrapes[4])


@pytest.mark.parametrize("change", [dropped, renamed])
@given(seed=st.integers(0, 10**9), restores=st.booleans())
def test_scrapes_that_were_changed_on_their_way_accuse_nobody(
    change: Callable[[Snapshot, str], Snapshot],
    seed: int,
    restores: bool,
) -> None:
    """A relabelling rule that was there for a while: the newest scrape is whole again."""
    world = World(chance(seed), restores=restores)
    for _ in range(60):
        world.step()
    world.scrape()
    world.scrape()
    start, end = sorted(world.chance.choices(range(len(world.scrapes)), k=2))
    world.scrapes[start:end] = [change(one, LEADS) for one in world.scrapes[start:end]]

    assert wrong(flows_of(world)) == {}


def test_a_restart_that_the_counters_do_not_show_is_known_by_its_time() -> None:
    """Counted up again to as much as before: by the values alone, nothing would have been counted in between."""
    before = replace(snapshot({(LEADS, "acme"): 1}, {(LEADS, 0): 1}), started_s=1.0)
    after = replace(snapshot({(LEADS, "acme"): 1}, {(LEADS, 0): 2}, second=10), started_s=2.0)

    assert segments([before, after])[0] == ()
    assert segments([before, replace(after, started_s=1.0)])[0] != ()
    restored = [before, replace(after, journal="sqlite")]
    assert segments(restored)[0] != ()
    assert segments(restored, is_alone=False)[0] == ()


class Lossy(World):
    """Passes over every fifth event without counting it."""

    def take(self, event: CrmEvent) -> None:
        if event.offset % 5:
            super().take(event)


class Doubling(World):
    """Counts every fifth event twice."""

    def take(self, event: CrmEvent) -> None:
        super().take(event)
        if event.offset % 5 == 0:
            super().take(event)


class Confusing(World):
    """Counts all events for one tenant."""

    def take(self, event: CrmEvent) -> None:
        content = event.content if event.content.rejected else replace(event.content, tenant_id="acme")
        super().take(replace(event, content=content))


@pytest.mark.parametrize(("kind", "sign"), [(Lossy, -1), (Doubling, 1)])
@given(seed=st.integers(0, 10**9))
def test_what_is_wrong_within_a_segment_is_told_with_its_integer(kind: type[World], sign: int, seed: int) -> None:
    """Two scrapes with positions, and everything between them: each wrong event is one."""
    world = kind(chance(seed))
    world.scrape()
    for _ in range(40):
        world.produce()
    while any(events and events[-1].offset >= world.positions[place] for place, events in world.log.items()):
        world.count()
    expected = Counter((event.topic, event.content.tenant_id) for event in world.events if event.offset % 5 == 0)

    assert wrong(flows_of(world)) == {key: sign * number for key, number in expected.items()}


def test_a_wrong_tenant_is_a_difference_although_the_total_is_right() -> None:
    world = Confusing(chance(1))
    world.scrape()
    for _ in range(40):
        world.produce()
    for _ in range(20):
        world.count()

    found = wrong(flows_of(world))

    assert sum(found.values()) == 0
    assert found[LEADS, "acme"] > 0 > found[LEADS, "globex"]


def snapshot(counts: dict[tuple[str, str], int], positions: dict[tuple[str, int], int], *, second: int = 0) -> Snapshot:
    return Snapshot(
        at=AT + timedelta(seconds=second),
        counts=tuple(Count(topic=t, tenant_id=n, value=v) for (t, n), v in counts.items()),
        positions=tuple(Position(topic=t, partition=p, offset=o) for (t, p), o in positions.items()),
    )


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (snapshot({(LEADS, "acme"): 7}, {(LEADS, 0): 9, (LEADS, 1): 0}, second=10), "partitions changed"),
        (snapshot({(LEADS, "acme"): 2}, {(LEADS, 0): 9}, second=10), "counters began at 0"),
        (snapshot({(LEADS, "acme"): 7}, {(LEADS, 0): 3}, second=10), "went back to an earlier offset"),
        (snapshot({(LEADS, "acme"): 5}, {(LEADS, 0): 0}, second=10), "went back to an earlier offset"),
    ],
)
def test_what_cannot_be_compared_is_said_and_never_mixed(after: Snapshot, said: str) -> None:
    found, notes = segments([snapshot({(LEADS, "acme"): 5}, {(LEADS, 0): 5}), after])

    assert found == ()
    assert said in notes[0]
    assert "19:48:51" in notes[0]


def test_a_process_whose_counters_are_lower_has_lost_counts() -> None:
    """No restart explains that."""
    before = replace(snapshot({(LEADS, "acme"): 5}, {(LEADS, 0): 5}), started_s=1.0)
    after = replace(snapshot({(LEADS, "acme"): 1}, {(LEADS, 0): 6}, second=10), started_s=1.0)
    (found,), notes = segments([before, after])

    assert not notes
    assert wrong(list(kafka_to_sink(found, [lead(5, offset=5)]))) == {(LEADS, "acme"): -5}


def test_tenants_above_the_limit_are_compared_together() -> None:
    events = [lead(number, offset=number, tenant=f"t{number}") for number in range(6)]
    before = snapshot({(LEADS, "t0"): 1, (LEADS, "__overflow__"): 0}, {(LEADS, 0): 1})
    after = snapshot({(LEADS, "t0"): 1, (LEADS, "__overflow__"): 5}, {(LEADS, 0): 6}, second=10)

    assert wrong(list(kafka_to_sink(Segment(before=before, after=after), events))) == {}
    assert wrong(list(kafka_to_sink(Segment(before=before, after=after), events[:-1]))) == {(LEADS, "__overflow__"): 1}


def test_a_tenant_with_a_series_in_any_topic_is_not_above_the_limit() -> None:
    """The limit is one of tenants, not of series."""
    before = snapshot({(JOBS, "t0"): 1, (LEADS, "__overflow__"): 0}, {(LEADS, 0): 0})
    after = snapshot({(JOBS, "t0"): 1, (LEADS, "__overflow__"): 1}, {(LEADS, 0): 1}, second=10)

    found = kafka_to_sink(Segment(before=before, after=after), [lead(0, offset=0, tenant="t0")])
    assert wrong(list(found)) == {(LEADS, "__overflow__"): 1, (LEADS, "t0"): -1}


@pytest.mark.parametrize(("limit", "expected"), [(2, {}), (3, {(LEADS, "__overflow__"): 1, (LEADS, "t2"): -1})])
def test_nobody_is_above_a_limit_that_is_not_reached(limit: int, expected: Mapping[tuple[str, str], int]) -> None:
    """The sink tells its limit."""
    counts = {(LEADS, "t0"): 1, (LEADS, "t1"): 1}
    before = snapshot({**counts, (LEADS, "__overflow__"): 0}, {(LEADS, 0): 0})
    after = replace(snapshot({**counts, (LEADS, "__overflow__"): 1}, {(LEADS, 0): 1}, second=10), tenants_limit=limit)

    assert wrong(list(kafka_to_sink(Segment(before=before, after=after), [lead(0, offset=0, tenant="t2")]))) == expected


def test_a_sink_that_tells_no_rejections_is_not_accused_of_them() -> None:
    """The sink that is in the field today."""
    bad = replace(lead(2, offset=1), content=Content(rejected="not_json"))
    segment = Segment(
        before=snapshot({(LEADS, "acme"): 0}, {(LEADS, 0): 0}), after=snapshot({(LEADS, "acme"): 1}, {(LEADS, 0): 2})
    )

    assert wrong(list(kafka_to_sink(segment, [lead(1, offset=0), bad]))) == {}


def test_prometheus_is_held_against_the_page_at_the_position_of_its_scrape() -> None:
    page = snapshot({(LEADS, "acme"): 9}, {(LEADS, 0): 9}, second=10)
    sampled = snapshot({(LEADS, "acme"): 6}, {(LEADS, 0): 6})
    events = [lead(number, offset=number) for number in range(9)]

    assert wrong(list(sink_to_prometheus(page, sampled, events))) == {}
    dropped = replace(sampled, counts=())
    assert sink_to_prometheus(page, dropped, events) == (Flow(topic=LEADS, tenant_id="acme", entered=6, left=0),)


def test_only_what_this_sink_has_not_passed_is_unread() -> None:
    page = snapshot({}, {(LEADS, 0): 2})
    events = [lead(number, offset=number) for number in range(4)]
    others = [replace(events[3], partition=1)]

    assert unread(page, {(LEADS, 0): 3}, [*events, *others]) == (events[2],)


def lead(number: int, *, offset: int, tenant: str = "acme") -> CrmEvent:
    content = Content(tenant_id=tenant, event_type="lead.created", entity_id=number)
    return CrmEvent(topic=LEADS, partition=0, offset=offset, key="", at=AT, content=content, raw=b"")


def created(number: int) -> Created:
    return Created(
        kind="lead", id=number, tenant_id="acme", topic=LEADS, label="", sent_at=AT, answered_at=AT, status=200
    )


def test_the_api_and_kafka_agree_on_each_id() -> None:
    ours = [created(1), created(2), created(3)]

    whole = api_to_kafka(ours, [lead(number, offset=number) for number in (1, 2, 3, 4)])
    assert (whole.outcome, whole.told()) == ("ok", "3 in, 3 out")

    lost = api_to_kafka(ours, [lead(1, offset=1), lead(3, offset=3)])
    assert (lost.outcome, lost.told()) == ("failed", "3 in, 2 out, 1 missing at lead 2")

    twice = api_to_kafka(ours, [lead(n, offset=o) for n, o in ((1, 1), (2, 2), (2, 5), (3, 3))])
    assert twice.told() == f"3 in, 4 out, 1 too many at lead 2 ({LEADS} 0@2, 0@5)"

    instead = api_to_kafka(ours, [lead(n, offset=o) for n, o in ((1, 1), (2, 2), (2, 5))])
    assert instead.told() == f"3 in, 3 out, 1 missing at lead 2 ({LEADS} 0@2, 0@5), lead 3, 1 too many"

    other = [replace(one, content=replace(one.content, event_type="lead.updated")) for one in (lead(3, offset=3),)]
    assert (
        api_to_kafka(ours, [lead(1, offset=1), lead(2, offset=2), *other]).told() == "3 in, 2 out, 1 missing at lead 3"
    )


def test_a_boundary_that_nothing_crossed_proves_nothing() -> None:
    quiet = Boundary(name="x", flows=(Flow(topic=LEADS, tenant_id="acme", entered=0, left=0),))

    assert quiet.outcome == "ok"
    assert not quiet.is_exercised
    assert not api_to_kafka([], []).is_exercised


@given(seed=st.integers(0, 10**9))
def test_what_a_member_that_nobody_sees_has_passed_is_missing(seed: int) -> None:
    """Over rebalances the sums of the only instance that is seen lack exactly what somebody else has passed."""
    world = World(chance(seed))
    world.counts.update({(topic, tenant): 0 for topic, _ in PARTITIONS for tenant in TENANTS})
    before = world.page()
    stolen = 0
    for _ in range(40):
        world.step()
        for place in set(PARTITIONS) - set(world.assigned):
            passed_by = [one for one in world.log[place] if one.offset >= world.positions[place]]
            stolen += sum(not one.content.rejected for one in passed_by)
            world.positions[place] = max([world.positions[place], *(one.offset + 1 for one in passed_by)])
    page = world.page().with_positions(world.positions)
    (segment,), _ = segments([before, page], spans_rebalances=True)
    flows = [one for one in kafka_to_sink(segment, world.events) if one.tenant_id]
    assert -sum(one.difference for one in flows) == stolen
    changed = before.assignments != page.assignments
    assert changed == (not segments([before, page])[0])


@given(seed=st.integers(0, 10**9))
def test_a_scrape_lies_between_the_pages_around_it(seed: int) -> None:
    """A counter that is below the earlier page has lost something; one above the later page has too much."""
    world = World(chance(seed))
    pages = []
    for _ in range(3):
        for _ in range(5):
            world.step()
        pages.append(world.page())
    assume(len({one.started_s for one in pages}) == 1)
    first, scrape, second = pages
    assert not any(flow.difference for flow in within(first, scrape, second))
    less = replace(scrape, counts=tuple(replace(one, value=one.value // 2) for one in first.counts))
    lost = {(flow.topic, flow.tenant_id): -flow.difference for flow in within(first, less, second) if flow.difference}
    assert lost == {(one.topic, one.tenant_id): one.value - one.value // 2 for one in first.counts}
    more = replace(scrape, counts=tuple(replace(one, value=one.value + 3) for one in second.counts))
    assert {flow.difference for flow in within(first, more, second)} <= {3}
    assert len(within(first, more, second)) == len(second.counts)


def test_a_new_series_is_not_missing_before_its_second_scrape() -> None:
    page = Snapshot(at=AT, counts=(Count(topic=LEADS, tenant_id="acme", value=4),), positions=())
    zero = replace(page, counts=(Count(topic=LEADS, tenant_id="acme", value=0),))
    nothing = replace(page, counts=())
    assert born([zero], page) == born([nothing, zero], page) == {(LEADS, "acme")}
    assert born([zero, zero], page) == born([zero, page], page) == frozenset()


def test_a_sink_without_positions_is_held_against_what_it_must_and_may_have_counted() -> None:
    def page(value: int) -> Snapshot:
        return Snapshot(at=AT, counts=(Count(topic=LEADS, tenant_id="acme", value=value),), positions=())

    def event(offset: int) -> CrmEvent:
        content = Content(tenant_id="acme", event_type="lead.created", entity_id=offset)
        return CrmEvent(topic=LEADS, partition=0, offset=offset, key="", at=AT, content=content, raw=b"")

    surely, maybe = [event(n) for n in range(5)], [event(n) for n in range(5, 7)]
    differences = [
        without_positions(page(10), page(10 + counted), surely=surely, maybe=maybe)[0].difference
        for counted in (4, 5, 6, 7, 8)
    ]
    assert differences == [-1, 0, 0, 0, 1]


@pytest.mark.parametrize(("grew", "left"), [(0, 0), (2, 2), (3, 3), (9, 3)])
def test_counters_grow_by_no_less_than_what_was_created(grew: int, left: int) -> None:
    def page(value: int) -> Snapshot:
        return Snapshot(at=AT, counts=(Count(topic=LEADS, tenant_id="acme", value=value),), positions=())

    made = [created(number) for number in range(3)]
    (flow,) = grown(made, page(5), page(5 + grew))
    assert (flow.entered, flow.left) == (3, left)


@pytest.mark.parametrize(
    ("counted", "rejected", "difference"),
    [
        (3, 1, 0),
        (5, 1, 0),  # with two that came before the other process ended
        (0, 0, -4),  # its group was reset to the end
        (1, 1, -2),
    ],
)
def test_what_came_while_the_sink_was_down_is_counted_by_its_next_process(
    counted: int, rejected: int, difference: int
) -> None:
    def event(offset: int, content: Content) -> CrmEvent:
        return CrmEvent(topic=LEADS, partition=0, offset=offset, key="", at=AT, content=content, raw=b"")

    def page(offset: int, count: int, rejected: int) -> Snapshot:
        return Snapshot(
            at=AT,
            counts=(Count(topic=LEADS, tenant_id="acme", value=count),),
            positions=(Position(topic=LEADS, partition=0, offset=offset),),
            rejected=(Rejected(topic=LEADS, value=rejected),),
        )

    lead = Content(tenant_id="acme", event_type="lead.created", entity_id=1)
    surely = [*(event(offset, lead) for offset in (12, 13, 14)), event(15, Content(rejected="invalid_json"))]
    flows = counted_from_zero(page(10, 700, 9), page(16, counted, rejected), surely)
    assert sum(flow.difference for flow in flows) == difference
