"""The loop with a journal: where it starts, what it does when the journal is away, and who else counts."""

import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from http import HTTPStatus
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from sink.health import Health, health_routes
from sink.http_server import Request
from sink.journal.model import JournalEntry
from tests.sink.journals import JournalAddress, sqlite_address
from tests.sink.mock_kafka import MockKafka
from tests.sink.postgres_server import PostgresServer
from tests.sink.running import Running, load, running
from tests.sink.sink_process import JOBS, LEADS, SCRAPE, SinkProcess, event, wait_until


def test_restart_goes_on(kafka: MockKafka, journal_address: JournalAddress) -> None:
    """Reading starts at the journal's position, also if Kafka's commit is behind, ahead or missing."""
    kafka.create(LEADS, 1)
    kafka.send(LEADS, [event("acme")] * 5)
    for wrong_commit, total in ((2, 5), (8, 10), (0, 15)):
        journal = journal_address.opened()
        with running(kafka.bootstrap, journal, TOPICS=LEADS) as sink:
            wait_until(lambda: sink.samples().passed() == total)  # noqa: B023  # called at once
        journal.close()
        kafka.send(LEADS, [event("acme")] * 5)
        _commit(kafka, wrong_commit)
    assert journal_address.totals().ingested == {("acme", LEADS): 15}


def test_first_start_takes_over(kafka: MockKafka, journal_address: JournalAddress) -> None:
    """A new journal begins where the group's commit is: what the previous sink has counted is not counted."""
    kafka.create(LEADS, 1)
    kafka.send(LEADS, [event("acme")] * 5)
    _commit(kafka, 3)
    journal = journal_address.opened()
    with running(kafka.bootstrap, journal, TOPICS=LEADS) as sink:
        wait_until(lambda: sink.samples().offsets() == {(LEADS, "0"): 5.0})
        assert sink.samples().counted() == 2
    journal.close()


def test_total_goes_on_over_a_restart(kafka: MockKafka, sink: SinkProcess, tmp_path: Path) -> None:
    """After kill -9 the counters continue; no page, not the first one and not a scrape, shows less than before."""
    kafka.create(LEADS, 2)
    sink.env |= {"TOPICS": LEADS, "SINK_JOURNAL": f"sqlite:{tmp_path / 'j'}"}
    sink.start_ready()
    kafka.send(LEADS, [event("acme")] * 5 + [b"{}"])
    wait_until(lambda: sink.samples().counted() == 6)
    sink.kill()
    sink.start()
    wait_until(lambda: sink.status("/livez") == 200)
    first = sink.samples(SCRAPE)
    assert first.ingested() == {("acme", LEADS): 5.0}
    assert first.rejected() == {(LEADS, "missing_field"): 1.0}
    wait_until(lambda: sink.status("/readyz") == 200)
    assert sink.samples(SCRAPE).passed() == 6


def test_journal_away(kafka: MockKafka, sink: SinkProcess, tmp_path: Path) -> None:
    """A journal that cannot be written: paused, not ready, alive, still a member; it continues by itself, exactly."""
    kafka.create(LEADS, 2)
    path = tmp_path / "j"
    sink.env |= {"TOPICS": LEADS, "SINK_JOURNAL": f"sqlite:{path}"}
    sink.start_ready()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        kafka.send(LEADS, [event("acme")] * 7)
        wait_until(lambda: sink.status("/readyz") == 503)
        assert (sink.status("/livez"), sink.samples().counted()) == (200, 0)
        assert sink.samples().by_name["crm_events_journal_up"][()] == 0
        assert sink.samples().by_name["crm_events_assigned_partitions"][()] == 2
        other.execute("ROLLBACK")
    wait_until(lambda: sink.status("/readyz") == 200)
    wait_until(lambda: sink.samples().passed() == 7)
    assert sink.samples().counted() == 7
    assert any("the journal is not available" in line and "database is locked" in line for line in sink.lines())


def test_postgres_freezes(kafka: MockKafka, sink: SinkProcess, postgres: PostgresServer) -> None:
    """A database that hangs in the middle, and one that is not there at the start, are both waited for."""
    kafka.create(LEADS, 2)
    sink.env |= {"TOPICS": LEADS, "POSTGRES_DSN": postgres.new_database()}
    del sink.env["SINK_JOURNAL"]
    postgres.freeze()
    try:
        sink.start()
        wait_until(lambda: sink.status("/livez") == 200)
        assert sink.status("/readyz") == 503
    finally:
        postgres.thaw()
    wait_until(lambda: sink.status("/readyz") == 200)
    kafka.send(LEADS, [event("acme")] * 3)
    wait_until(lambda: sink.samples().counted() == 3)
    postgres.freeze()
    try:
        kafka.send(LEADS, [event("acme")] * 4)
        wait_until(lambda: sink.status("/readyz") == 503)
        assert sink.status("/livez") == 200
    finally:
        postgres.thaw()
    wait_until(lambda: sink.samples().passed() == 7)
    assert sink.samples().counted() == 7
    assert sink.stop() == 0
    assert "never-shown" not in "".join(sink.lines())


def test_fenced(kafka: MockKafka, journal_address: JournalAddress) -> None:
    """Another member counts events of our partition: our batch is not counted, and reading continues after theirs."""
    kafka.create(LEADS, 1)
    journal, other = journal_address.opened(), journal_address.new()
    if not journal.restores_totals:
        other.open()
    with running(kafka.bootstrap, journal, TOPICS=LEADS) as sink:
        kafka.send(LEADS, [event("acme")] * 2)
        wait_until(lambda: sink.samples().passed() == 2)
        entry = JournalEntry(moves={(LEADS, 0): (2, 5)}, ingested={("theirs", LEADS): 3}, rejected={})
        (journal if journal.restores_totals else other).write(entry)
        kafka.send(LEADS, [event("acme")] * 10)
        wait_until(lambda: sink.samples().passed() == 12)
        assert sink.samples().ingested() == {("acme", LEADS): 9.0}
        assert sink.samples().by_name["crm_events_journal_overtaken_total"][()] >= 1
    journal.close()
    other.close()
    assert journal_address.totals().ingested == {("acme", LEADS): 9, ("theirs", LEADS): 3}


@pytest.mark.parametrize("group", ["eager", "cooperative", "KIP-848"])
def test_sums_over_two_sinks(kafka: MockKafka, postgres: PostgresServer, group: str) -> None:
    """Each of two sinks shows what it has counted itself, so their sum is exact, also after partitions have moved.

    Cooperatively a member keeps its other partitions while some move.
    """
    kafka.create(LEADS, 4)
    address = JournalAddress(postgres.new_database())
    first_journal, second_journal = address.opened(), address.opened()
    with running(kafka.bootstrap, first_journal, group=group, TOPICS=LEADS) as first:
        kafka.send(LEADS, [event(f"t{n % 3}") for n in range(500)])
        wait_until(lambda: first.samples().counted() == 500)
        with running(kafka.bootstrap, second_journal, group=group, TOPICS=LEADS) as second:
            for _ in range(5):
                kafka.send(LEADS, [event(f"t{n % 3}") for n in range(100)])
            wait_until(lambda: second.health.assigned == 2)
            for partition in range(4):
                kafka.send(LEADS, [event(f"t{n % 3}") for n in range(125)], partition=partition)
            wait_until(lambda: first.samples().counted() + second.samples().counted() == 1_500)
            gone = second.samples().counted()
            assert gone > 0
        kafka.send(LEADS, [event("t1")] * 100)
        wait_until(lambda: first.samples().passed() == 1_600)
        assert first.samples().counted() + gone == 1_600
    first_journal.close()
    second_journal.close()


def test_sums_over_four_sinks(kafka: MockKafka, postgres: PostgresServer) -> None:
    """Four sinks join one after the other under load, and leave again: their counters add up to what was sent."""
    kafka.create(LEADS, 12)
    address, members = JournalAddress(postgres.new_database()), list[Running]()
    with load(kafka, LEADS) as sent, ExitStack() as group:
        for _ in range(4):
            journal = group.enter_context(closing(address.opened()))
            members.append(group.enter_context(running(kafka.bootstrap, journal, TOPICS=LEADS)))
            wait_until(lambda: {member.health.assigned for member in members} == {12 // len(members)})
        wait_until(lambda: all(member.samples().counted() for member in members))
    with closing(address.opened()) as journal, running(kafka.bootstrap, journal, TOPICS=LEADS) as rest:
        wait_until(lambda: rest.samples().passed() == sum(sent))
        assert sum(member.samples().counted() for member in (*members, rest)) == sum(sent)


def test_clock_jumps(kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock goes a day back, and then forward: everything is counted and kept once, and the loop is alive."""
    kafka.create(LEADS, 1)
    journal, jump_s, real = sqlite_address(tmp_path).opened(SINK_JOURNAL_EVENTS="rows"), [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s[0])
    monkeypatch.setattr(time, "time_ns", lambda: int((real() + jump_s[0]) * 1e9))
    with running(kafka.bootstrap, journal, TOPICS=LEADS) as sink:
        for total, jump_s[0] in ((5, 0.0), (10, -86_400.0), (15, 86_400.0)):
            kafka.send(LEADS, [event("acme")] * 5)
            wait_until(lambda: sink.samples().passed() == total)  # noqa: B023  # called at once
            assert not sink.health.not_ready()
        shown_at = sink.samples().by_name["crm_events_last_progress_timestamp_seconds"][()]
        assert shown_at > real() + 80_000  # the jump did arrive
    journal.close()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
        assert db.execute('SELECT "offset" FROM message ORDER BY id').fetchall() == [(n,) for n in range(15)]


def test_stalled_loop(kafka: MockKafka, tmp_path: Path) -> None:
    """A loop that hangs in its journal is not live when its own clock has advanced by 30 s; it is again afterwards."""
    kafka.create(LEADS, 1)
    now_s, hung, released = [0.0], threading.Event(), threading.Event()
    health = Health(clock=lambda: now_s[0])
    journal = sqlite_address(tmp_path).opened()
    livez = health_routes(health)["GET /livez"]
    request = Request(headers={}, query="", last_segment="livez", client="127.0.0.1")
    write = journal.write

    def hanging(entry: JournalEntry) -> None:
        hung.set()
        assert released.wait(60)
        write(entry)

    journal.write = hanging  # type: ignore[method-assign]  # the broken variant
    with running(kafka.bootstrap, journal, health=health, TOPICS=LEADS) as sink:
        try:
            kafka.send(LEADS, [event("acme")])
            assert hung.wait(20)
            assert livez(request).status == HTTPStatus.OK
            now_s[0] = 31.0
            assert livez(request).status == HTTPStatus.SERVICE_UNAVAILABLE
        finally:
            released.set()
        wait_until(lambda: livez(request).status == HTTPStatus.OK)
        assert sink.samples().counted() == 1
    journal.close()


def test_another_cluster(tmp_path: Path) -> None:
    """The journal outlives its cluster: the events of a new one are counted from their start, whatever its offsets."""
    clusters = {5: MockKafka(), 8: MockKafka()}  # both at once: a cluster's id is its place in memory
    for sent, kafka in clusters.items():
        journal = sqlite_address(tmp_path).opened(SINK_JOURNAL_EVENTS="rows")
        kafka.create(LEADS, 1)
        kafka.send(LEADS, [event("acme")] * sent)
        with running(kafka.bootstrap, journal, TOPICS=LEADS) as sink:
            wait_until(lambda: sink.samples().offsets() == {(LEADS, "0"): sent})  # noqa: B023  # called at once
        journal.close()
    for kafka in clusters.values():
        kafka.close()
    assert sqlite_address(tmp_path).totals().ingested == {("acme", LEADS): 13}


def test_everything_is_kept(kafka: MockKafka, tmp_path: Path) -> None:
    """Rejected messages, a second topic and dead letters go through the journal like everything else."""
    kafka.create(LEADS, 1)
    kafka.create(JOBS, 1)
    journal = sqlite_address(tmp_path).opened(SINK_JOURNAL_EVENTS="rows")
    kafka.send(LEADS, [event("acme"), b"{}", event("acme")])
    kafka.send(JOBS, [event("acme", "job\\u0000created")])
    with running(kafka.bootstrap, journal) as sink:
        wait_until(lambda: sink.samples().passed() == 4)
        assert sink.samples().by_name["crm_events_dead_letters_total"][()] == 1
    journal.close()
    assert sqlite_address(tmp_path).totals().rejected == {(LEADS, "missing_field"): 1}
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
        kept = db.execute('SELECT topic, "offset", event_type, reason FROM message ORDER BY topic, "offset"').fetchall()
    assert kept == [
        (JOBS, 0, "job\ufffdcreated", None),
        (LEADS, 0, "lead.created", None),
        (LEADS, 1, None, "missing_field"),
        (LEADS, 2, "lead.created", None),
    ]


def _commit(kafka: MockKafka, offset: int) -> None:
    """Commit as a member of the group: the mock broker refuses commits of others."""
    places: list[TopicPartition] = []
    properties = {
        "group.id": "crm-events-sink",
        "log_level": 0,
        "session.timeout.ms": 1500,
        "enable.auto.commit": False,
    }
    member = Consumer({"bootstrap.servers": kafka.bootstrap, **properties})
    member.subscribe([LEADS], on_assign=lambda _, assigned: places.extend(assigned))
    wait_until(lambda: member.poll(0.05) or places)
    member.commit(offsets=[TopicPartition(LEADS, 0, offset)], asynchronous=False)
    member.close()
