"""The ledger's decisions over facts. Each broken way to decide is caught by the same check that the real one passes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.conservation.ledger import (
    Received,
    counter_sight,
    kafka_sight,
    log_sights,
    panel_sight,
    received_lines,
)
from runbook.conservation.own_events import events_of
from runbook.conservation.run_sums import run_sums, sums_without_positions, unread_sums
from runbook.conservation.snapshot import Count, Position, Snapshot
from runbook.model import Created, HopSight, LedgerSum
from runbook.systems.grafana.client import Frame
from runbook.systems.kafka.content import Content
from runbook.systems.kafka.records import CrmEvent
from runbook.systems.runtime import LogLine

LEADS, JOBS = "apexflow.leads.created", "apexflow.jobs.created"
AT = datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)
Sums = Callable[..., tuple[LedgerSum, ...]]


def event(number: int, *, topic: str = LEADS, tenant: str = "acme", offset: int = 0, partition: int = 0) -> CrmEvent:
    kind = "lead.created" if topic == LEADS else "job.created"
    at = AT + timedelta(milliseconds=offset)
    content = Content(entity_id=number, tenant_id=tenant, event_type=kind)
    return CrmEvent(topic=topic, partition=partition, offset=offset, key="", at=at, content=content, raw=b"")


def created(number: int, *, topic: str = LEADS, tenant: str = "acme") -> Created:
    kind = "lead" if topic == LEADS else "job"
    return Created(
        kind=kind,  # type: ignore[arg-type]  # one of the two
        id=number,
        tenant_id=tenant,
        topic=topic,
        label="",
        sent_at=AT,
        answered_at=AT,
        status=200,
    )


def snapshot(
    counts: Counter[tuple[str, str]], positions: dict[tuple[str, int], int], *, at: datetime = AT + timedelta(minutes=1)
) -> Snapshot:
    return Snapshot(
        at=at,
        counts=tuple(Count(topic=t, tenant_id=n, value=v) for (t, n), v in counts.items()),
        positions=tuple(Position(topic=t, partition=p, offset=o) for (t, p), o in positions.items()),
    )


def sums(
    ours: tuple[Created, ...], events: tuple[CrmEvent, ...], *, source: str, before: Snapshot, after: Snapshot
) -> tuple[LedgerSum, ...]:
    return run_sums(ours, events, [[before, after]], source=source).sums


@dataclass(frozen=True)
class Situation:
    """What lies in Kafka, which of it is ours, and what an honest sink shows before and after."""

    events: tuple[CrmEvent, ...]
    ours: tuple[Created, ...]
    before: Snapshot
    after: Snapshot

    def closed_by(self, decide: Sums, *, after: Snapshot | None = None) -> tuple[LedgerSum, ...]:
        return decide(self.ours, self.events, source="sink", before=self.before, after=after or self.after)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Events of us and others, of two tenants, in several partitions; others may produce before, between and after."""
    events: list[CrmEvent] = []
    ours: list[Created] = []
    positions: list[dict[tuple[str, int], int]] = [{}, {}]
    for topic in (LEADS, JOBS):
        for partition in range(draw(st.integers(1, 3))):
            size = draw(st.integers(0, 8))
            start, end = sorted((draw(st.integers(0, size)), draw(st.integers(0, size))))
            positions[0][topic, partition], positions[1][topic, partition] = start, end
            for offset in range(size):
                number, tenant = len(events) + 1, draw(st.sampled_from(["acme", "globex"]))
                events.append(event(number, topic=topic, tenant=tenant, offset=offset, partition=partition))
                if start <= offset < end and draw(st.booleans()):
                    ours.append(created(number, topic=topic, tenant=tenant))
    shown = [snapshot(counted(events, below), below) for below in positions]
    return Situation(tuple(events), tuple(ours), *shown)


def counted(events: list[CrmEvent], below: dict[tuple[str, int], int]) -> Counter[tuple[str, str]]:
    passed = (one for one in events if one.offset < below[one.topic, one.partition])
    return Counter((one.topic, one.content.tenant_id) for one in passed)


def tampered(shown: Snapshot, total: LedgerSum, by: int) -> Snapshot:
    """Return a snapshot in which one series has counted some events more or fewer than went by."""
    series = (total.topic, total.tenant_id)
    rest = tuple(one for one in shown.counts if (one.topic, one.tenant_id) != series)
    value = shown.count(*series) + by
    return replace(shown, counts=(*rest, Count(topic=series[0], tenant_id=series[1], value=value)))


def check(decide: Sums, situation: Situation) -> None:
    """An honest sink closes every sum; one that loses an event, or counts one twice, closes not that one."""
    for total in situation.closed_by(decide):
        assert total.outcome == "ok"
        for by in (-1, 1):
            closed = situation.closed_by(decide, after=tampered(situation.after, total, by))
            wrong = [one for one in closed if one.outcome != "ok"]
            assert [(one.topic, one.tenant_id, one.outcome) for one in wrong] == [
                (total.topic, total.tenant_id, "failed")
            ]


@given(situation=situations())
@settings(deadline=None)
def test_sums_close_exactly_and_only_for_an_honest_sink(situation: Situation) -> None:
    check(sums, situation)


def ignores_others(*facts: Any, **more: Any) -> tuple[LedgerSum, ...]:  # noqa: ANN401 - the facts of sums
    return tuple(replace(total, others=0) for total in sums(*facts, **more))


def counts_twice(ours: tuple[Created, ...], events: tuple[CrmEvent, ...], **more: Any) -> tuple[LedgerSum, ...]:  # noqa: ANN401
    return sums(ours, (*events, *events[:1]), **more)


def takes_a_rate_for_proof(*facts: Any, **more: Any) -> tuple[LedgerSum, ...]:  # noqa: ANN401 - the facts of sums
    """Decide as a rate above zero would: whatever was counted is enough."""
    totals = sums(*facts, **more)
    return tuple(replace(one, delta=one.ours + (one.others or 0)) if one.delta else one for one in totals)


def counts_from_the_beginning(*facts: Any, before: Snapshot, **more: Any) -> tuple[LedgerSum, ...]:  # noqa: ANN401
    first = tuple(replace(place, offset=0) for place in before.positions)
    return sums(*facts, before=replace(before, positions=first), **more)


BUSY = Situation(
    events=tuple(event(number, offset=number) for number in range(8)),
    ours=(created(4), created(6)),
    before=snapshot(Counter({(LEADS, "acme"): 3}), {(LEADS, 0): 3}),
    after=snapshot(Counter({(LEADS, "acme"): 7}), {(LEADS, 0): 7}),
)
"""Two of ours between others' events: offsets 3 to 6 were counted between the two looks."""


def test_a_busy_topic_closes() -> None:
    check(sums, BUSY)
    (total,) = BUSY.closed_by(sums)
    assert (total.ours, total.others, total.delta) == (2, 2, 4)


@pytest.mark.parametrize(
    "broken",
    [ignores_others, counts_twice, takes_a_rate_for_proof, counts_from_the_beginning],
    ids=lambda f: f.__name__,
)
def test_every_broken_way_to_close_a_sum_is_caught(broken: Sums) -> None:
    busy = BUSY
    if broken is counts_twice:  # the event that it counts twice must lie between the looks
        busy = replace(BUSY, events=BUSY.events[3:])
    with pytest.raises(AssertionError):
        check(broken, busy)


def test_a_sink_without_positions_is_never_accused_of_too_much() -> None:
    """Events between two readings may have been counted besides; fewer than ours is a loss all the same."""
    old = [snapshot(Counter({(LEADS, "acme"): value}), {}) for value in (3, 5, 6, 4)]
    ends = (Position(topic=LEADS, partition=0, offset=4),)
    events = [event(4, offset=4), event(6, offset=5)]

    outcomes = [
        sums_without_positions(
            [created(4), created(6)], events, source="sink", before=old[0], after=after, end_offsets=ends
        )
        .sums[0]
        .outcome
        for after in old[1:]
    ]

    assert outcomes == ["ok", "not_checked", "failed"]


def test_what_was_not_read_is_not_checked() -> None:
    every = [created(1), created(2), created(1, topic=JOBS)]
    totals = unread_sums("sink", every, None)

    assert [(total.topic, total.ours, total.outcome) for total in totals] == [
        (JOBS, 1, "not_checked"),
        (LEADS, 2, "not_checked"),
    ]

    in_kafka = unread_sums("sink", every, [event(1), event(1, offset=1)])
    assert [(total.topic, total.ours, total.outcome) for total in in_kafka] == [
        (JOBS, 0, "not_checked"),
        (LEADS, 2, "not_checked"),
    ]


BEFORE = snapshot(Counter({(LEADS, "acme"): 3}), {(LEADS, 0): 3})


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([BEFORE, snapshot(Counter({(LEADS, "acme"): 7}), {(LEADS, 0): 7})], "ok"),
        ([BEFORE, snapshot(Counter({(LEADS, "acme"): 6}), {(LEADS, 0): 6})], "failed"),
        ([BEFORE, snapshot(Counter(), {})], "not_checked"),
        ([BEFORE, snapshot(Counter({(LEADS, "acme"): 7}), {(LEADS, 0): 7, (LEADS, 1): 0})], "not_checked"),
        ([BEFORE, snapshot(Counter({(LEADS, "acme"): 2}), {(LEADS, 0): 7})], "not_checked"),
        (
            [
                BEFORE,
                snapshot(Counter({(LEADS, "acme"): 7}), {(LEADS, 0): 7}),
                snapshot(Counter({(LEADS, "acme"): 0}), {(LEADS, 0): 7}),
                snapshot(Counter({(LEADS, "acme"): 1}), {(LEADS, 0): 8}),
            ],
            "ok",
        ),
    ],
    ids=["passed", "not passed yet", "hidden", "partitions moved", "began at 0", "began at 0 behind ours"],
)
def test_what_was_passed_within_a_segment_is_proven_and_no_more(chain: list[Snapshot], expected: str) -> None:
    (total,) = run_sums(BUSY.ours, BUSY.events, [chain], source="sink").sums

    assert total.outcome == expected


def test_two_sinks_add_up() -> None:
    """Each has partitions of its own; what one of them counted is no loss of the other."""
    events = [event(1), event(2, partition=1)]
    chains = [
        [
            snapshot(Counter(), {(LEADS, partition): 0}),
            snapshot(Counter({(LEADS, "acme"): 1}), {(LEADS, partition): 1}),
        ]
        for partition in (0, 1)
    ]

    (total,) = run_sums([created(1), created(2)], events, chains, source="Prometheus").sums
    assert (total.ours, total.others, total.delta, total.outcome) == (2, 0, 2, "ok")
    (page,) = run_sums([created(1), created(2)], events, chains[:1], source="sink").sums
    assert page.outcome == "not_checked"


def test_an_event_is_ours_by_topic_id_tenant_and_type() -> None:
    ours = event(7, offset=3)
    others = [
        event(8),
        event(7, topic=JOBS),
        event(7, tenant="globex"),
        replace(ours, content=Content(entity_id=7, tenant_id="acme", event_type="lead.assigned")),
        replace(ours, content=Content(tenant_id="acme", event_type="lead.created")),
        replace(ours, content=Content(rejected="not_json")),
    ]

    assert events_of([created(7)], [*others, ours]) == {(LEADS, 7): [ours]}
    assert events_of([created(7)], others) == {}


def takes_ids_alone(ours: list[Created], events: list[CrmEvent]) -> dict[tuple[str, int], CrmEvent]:
    """Decide as once: the first event with id, tenant and type is ours."""
    return {(one.topic, one.content.entity_id or 0): one for one in reversed(events)} if ours else {}


@pytest.mark.parametrize(
    ("ours", "raw", "is_late"),
    [
        ("grafana1+run-2@test.com", b'{"email": "grafana1+run-1@test.com"}', False),
        ("grafana1+run-2@test.com", b"{}", True),
        ("", b'{"email": "grafana1+run-1@test.com"}', True),
    ],
    ids=["another e-mail", "older, without an e-mail", "older, and our e-mail is not known"],
)
def test_an_event_of_another_run_with_our_id_is_not_ours(ours: str, raw: bytes, *, is_late: bool) -> None:
    """ApexFlow's ids begin at 1 again with an empty database."""
    lead = replace(created(7), label=ours, sent_at=AT + timedelta(hours=is_late))
    theirs = replace(event(7, offset=3), raw=raw)
    own = replace(event(7, offset=9), raw=b'{"email": "Grafana1+run-2@test.com"}', at=AT + timedelta(hours=1))

    assert events_of([lead], [theirs, own]) == {(LEADS, 7): [own]}
    assert takes_ids_alone([lead], [theirs, own]) == {(LEADS, 7): theirs}


def test_a_foreign_event_with_our_id_is_counted_as_others() -> None:
    lead = replace(created(7), label="ours@test.com")
    events = [replace(event(7, offset=number), raw=b'{"email": "%s"}' % mail) for number, mail in enumerate(MAILS)]
    chain = [snapshot(Counter(), {(LEADS, 0): 0}), snapshot(Counter({(LEADS, "acme"): 2}), {(LEADS, 0): 2})]

    (total,) = run_sums([lead], events, [chain], source="sink").sums

    assert (total.ours, total.others, total.delta) == (1, 1, 2)


MAILS = (b"theirs@test.com", b"ours@test.com")


def test_a_reading_from_before_an_event_says_nothing_of_it() -> None:
    """The sink died before the next scrape: what it had counted by then is not known, and is not lost."""
    before = snapshot(Counter({(LEADS, "acme"): 3}), {(LEADS, 0): 3}, at=AT - timedelta(minutes=1))
    old = snapshot(Counter({(LEADS, "acme"): 4}), {(LEADS, 0): 4}, at=AT)
    new = replace(old, at=AT + timedelta(minutes=1))

    stale, fresh = (run_sums(BUSY.ours, BUSY.events, [[before, one]], source="sink") for one in (old, new))

    assert [one.outcome for one in stale.sums] == ["not_checked"]
    assert stale.may_close
    assert "from before 2 of the events" in stale.late[0]
    assert [one.outcome for one in fresh.sums] == ["failed"], "a younger one says that they are missing"


def test_an_old_reading_of_a_sink_without_positions_says_nothing_either() -> None:
    before, old = (snapshot(Counter({(LEADS, "acme"): 3}), {}, at=AT - timedelta(minutes=number)) for number in (2, 1))

    found, later = (
        sums_without_positions([created(4)], [event(4)], source="P", before=before, after=after, end_offsets=())
        for after in (old, replace(old, at=AT + timedelta(minutes=1)))
    )

    assert [one.outcome for one in found.sums] == ["not_checked"]
    assert found.may_close
    assert [one.outcome for one in later.sums] == ["failed"]


def test_a_tenant_that_is_counted_as_the_overflow_is_not_checked() -> None:
    chain = [
        snapshot(Counter(), {(LEADS, 0): 0}),
        snapshot(Counter({(LEADS, "__overflow__"): 1}), {(LEADS, 0): 1}),
    ]

    found = run_sums([created(1)], [event(1)], [chain], source="sink")

    assert [one.outcome for one in found.sums] == ["not_checked"]
    assert not found.may_close
    assert "counted as __overflow__" in found.notes[0]


@pytest.mark.parametrize(("scrapes", "may_close"), [(1, True), (2, True), (3, False)])
def test_partitions_that_were_taken_a_moment_ago_may_come_back(scrapes: int, may_close: bool) -> None:
    """Another member was in the group for a while; if it stays, the sink shows the same partitions again and again."""
    whole = [snapshot(Counter(), {(LEADS, 0): 0, (LEADS, 1): 0}, at=AT + timedelta(seconds=at)) for at in (0, 1)]
    part = [snapshot(Counter(), {(LEADS, 1): 0}, at=AT + timedelta(seconds=2 + number)) for number in range(scrapes)]

    found = run_sums([created(1)], [event(1, offset=0)], [[*whole, *part]], source="P", spans_rebalances=True)

    assert [one.outcome for one in found.sums] == ["not_checked"]
    assert found.may_close == may_close


def test_an_event_that_was_sent_twice_is_no_proof() -> None:
    first, second = event(7, offset=3), event(7, offset=9)

    assert events_of([created(7)], [first, second]) == {(LEADS, 7): [first, second]}
    assert kafka_sight([first, second]).outcome == "failed"
    assert kafka_sight([first]).outcome == "ok"


def line(milliseconds: int, *, tenant: str = "acme", kind: str = "lead.created") -> Received:
    at = AT + timedelta(milliseconds=milliseconds)
    return Received(at=at, event_type=kind, tenant_id=tenant, text=f"line at {milliseconds}")


def test_each_event_gets_a_line_of_its_own_in_time() -> None:
    sights = log_sights([event(2, offset=20), event(1, offset=10)], [line(25), line(15)])

    assert {place[2]: sight.saw for place, sight in sights.items()} == {10: "line at 15", 20: "line at 25"}


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [line(-2001)],
        [line(15, tenant="globex")],
        [line(15, kind="job.created")],
    ],
    ids=["none", "older than the event", "of another tenant", "of another type"],
)
def test_a_line_that_does_not_fit_is_no_proof(lines: list[Received]) -> None:
    assert log_sights([event(1)], lines)[LEADS, 0, 0].outcome == "failed"


def test_a_line_of_others_does_not_stand_for_ours() -> None:
    """Two events, one line: with the other's event among them, one of the two is missing; without, ours seems told."""
    ours, other = event(2, offset=20), event(1, offset=10)

    assert log_sights([ours, other], [line(12)])[LEADS, 0, 20].outcome == "failed"
    assert log_sights([ours], [line(22)])[LEADS, 0, 20].outcome == "ok"


def test_a_line_of_an_event_from_before_is_left_where_each_event_has_a_later_one() -> None:
    """Where one has none, the clocks may differ: then its line may be a little older."""
    events = [event(1, offset=100), event(2, offset=200)]

    told = log_sights(events, [line(10), line(20), line(105), line(205)])
    assert [sight.saw for sight in told.values()] == ["line at 105", "line at 205"]

    others_late = log_sights([*events, event(3, offset=900)], [line(10), line(105), line(205)], own=list(told))
    assert [others_late[place].saw for place in told] == ["line at 105", "line at 205"]

    behind = log_sights(events, [line(70), line(170)])
    assert [sight.saw for sight in behind.values()] == ["line at 70", "line at 170"]

    alone = log_sights([*events, event(3, offset=300)], [line(70)])
    assert {sight.outcome for sight in alone.values()} == {"failed"}, "no clock explains what is missing"


@given(st.permutations(range(12)), st.integers(0, 12))
def test_as_many_events_are_told_of_as_there_are_lines(order: list[int], count: int) -> None:
    events = [event(number, offset=number) for number in order]
    told = [sight.outcome for sight in log_sights(events, [line(20 + number) for number in range(count)]).values()]

    assert Counter(told) == Counter({"ok": count, "failed": 12 - count})


def test_lines_of_the_sink_are_read_and_others_left_alone() -> None:
    texts = [
        "[2025-11-03T19:48:51.465169] Received lead.created for tenant acme corp",
        "[2025-11-03T19:48:51] Received job.created for tenant acme",
        "CRM Events Sink started. Listening to topics: ['apexflow.leads.created']",
        "[yesterday] Received lead.created for tenant acme",
        "  [2025-11-03T19:48:51] Received lead.created for tenant acme",
        "",
    ]

    found = received_lines([LogLine(text=text) for text in texts])

    assert [(one.event_type, one.tenant_id) for one in found] == [
        ("lead.created", "acme corp"),
        ("job.created", "acme"),
    ]
    assert found[0].at == datetime(2025, 11, 3, 19, 48, 51, 465169, tzinfo=UTC)


def total(delta: int | None) -> LedgerSum:
    return LedgerSum(source="sink", topic=LEADS, tenant_id="acme", ours=2, others=1, delta=delta)


@pytest.mark.parametrize(("delta", "expected"), [(3, "ok"), (2, "failed"), (4, "failed"), (None, "not_checked")])
def test_a_counter_speaks_for_its_events_only_if_its_sum_closes(delta: int | None, expected: str) -> None:
    sight = counter_sight("counter", event(1), [total(delta)], at=AT)

    assert sight.outcome == expected
    assert (sight.at == AT) == (expected == "ok")


def test_without_its_event_nothing_is_claimed_at_later_hops() -> None:
    assert kafka_sight([]).outcome == "failed"
    assert counter_sight("counter", None, [total(3)], at=AT).outcome == "not_checked"
    assert panel_sight(None, [], sampled("ok")).outcome == "not_checked"
    assert panel_sight(event(1), None, sampled("ok")).outcome == "not_checked"
    assert counter_sight("counter", event(1, tenant="globex"), [total(3)], at=AT).outcome == "not_checked"


def sampled(outcome: Any, seconds: float | None = 4) -> HopSight:  # noqa: ANN401 - one of Sight
    at = None if seconds is None else AT + timedelta(seconds=seconds)
    return HopSight(hop="prometheus", outcome=outcome, saw="", at=at)


def frame(*points: tuple[float, float | None], topic: str = LEADS) -> Frame:
    times = tuple(AT + timedelta(seconds=second) for second, _ in points)
    return Frame(ref_id="A", name="", labels={"topic": topic}, times=times, values=tuple(value for _, value in points))


def test_the_panel_shows_an_event_from_its_scrape_on() -> None:
    """A line above zero before the scrape that held the event is others' traffic, not the event."""
    sight = panel_sight(event(1), [frame((1, 0.4), (3, 0.4), (5, 0.5), (7, 0.6))], sampled("ok"))

    assert (sight.outcome, sight.at) == ("ok", AT + timedelta(seconds=5))


def test_no_panel_shows_an_event_before_it_was_produced() -> None:
    """Its points have the times of the query's steps, and clocks differ."""
    late = event(1, offset=5500)

    assert panel_sight(late, [frame((4, 0.5))], sampled("ok", None)).at == late.at


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [frame((5, 0.0), (7, None))],
        [frame((1, 0.4), (3, 0.4))],
        [frame((5, 0.4), topic=JOBS)],
    ],
    ids=["no frame", "zero and nothing", "only before", "another topic"],
)
def test_a_panel_that_shows_nothing_of_a_counted_event_is_blind(frames: list[Frame]) -> None:
    assert panel_sight(event(1), frames, sampled("ok")).saw.endswith("ingested, panel blind (series born above zero)")


def test_a_panel_is_not_called_blind_when_prometheus_did_not_get_it() -> None:
    sight = panel_sight(event(1), [frame((5, 0.0))], sampled("failed", None))

    assert (sight.outcome, sight.saw) == ("failed", f"{LEADS}: no point above zero")


@pytest.mark.parametrize("outcome", ["failed", "not_checked"])
def test_a_point_without_a_sample_of_the_event_proves_nothing(outcome: str) -> None:
    """The line is above zero by others' events, and this one was never counted."""
    sight = panel_sight(event(1), [frame((5, 0.4))], sampled(outcome, None))

    assert sight.outcome == "not_checked"
    assert sight.at is None


def test_a_scrape_that_had_passed_the_event_is_its_sample_although_the_sum_is_open() -> None:
    passed_at = AT + timedelta(seconds=4)

    sight = panel_sight(event(1), [frame((3, 0.4), (5, 0.5))], sampled("not_checked", None), sampled_at=passed_at)

    assert (sight.outcome, sight.at) == ("ok", AT + timedelta(seconds=5))
    blind = panel_sight(event(1), [frame((3, 0.4))], sampled("not_checked", None), sampled_at=passed_at)
    assert blind.outcome == "not_checked"


def test_a_column_that_could_not_be_read_says_why() -> None:
    sight = counter_sight("counter", event(1), [total(None)], at=AT, why="the sink's page refused the connection")

    assert (sight.outcome, sight.saw) == ("not_checked", "the sink's page refused the connection")
