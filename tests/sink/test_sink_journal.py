"""What every journal promises, whichever database it is in."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from sink.decoding import RejectReason
from sink.environment import SettingsError
from sink.journal.model import (
    FencedError,
    Journal,
    JournalEntry,
    JournalUnavailableError,
    JournalUnusableError,
    Position,
)
from sink.journal.sqlite_reader import APPLICATION_ID, SqliteReader
from sink.journal.sqlite_schema import MIGRATIONS
from tests.sink.journals import JournalAddress, message_run, sqlite_address
from tests.sink.postgres_server import PostgresServer
from tests.sink.sink_process import JOBS, LEADS

P0, P1 = (LEADS, 0), (LEADS, 1)


@pytest.fixture
def journal(journal_address: JournalAddress) -> Iterator[Journal]:
    """An open journal that knows two partitions at 0, and keeps rows."""
    opened = journal_address.opened(SINK_JOURNAL_EVENTS="rows", SINK_JOURNAL_MAX_ROWS="10")
    start = Position(next_offset=0, cluster="c")
    opened.set_positions({P0: (None, start), P1: (None, start)})
    yield opened
    opened.close()


def entry(low: int, high: int, tenant: str = "acme", rows: int = 0) -> JournalEntry:
    """Return an entry that moves partition 0."""
    kept = [(low + n, tenant, "lead.created", None, b"k", b"{}") for n in range(rows)]
    message_runs = [message_run(LEADS, *kept)] if kept else []
    return JournalEntry(
        moves={P0: (low, high)}, ingested={(tenant, LEADS): high - low}, rejected={}, message_runs=message_runs
    )


def test_counts_and_positions_move_together(journal: Journal) -> None:
    """What is written is there, added up, in the order in which it was first seen."""
    journal.write(entry(0, 5, "late"))
    journal.write(entry(5, 7, "acme"))
    both = {("acme", LEADS): 1, ("late", LEADS): 1, ("new", JOBS): 3}
    reasons = {(LEADS, RejectReason.EMPTY): 1, (JOBS, RejectReason.NULL): 2}
    journal.write(JournalEntry(moves={P0: (7, 9), P1: (0, 4)}, ingested=both, rejected=reasons))
    assert list(journal.totals().ingested.items()) == [(("late", LEADS), 6), (("acme", LEADS), 3), (("new", JOBS), 3)]
    assert journal.totals().rejected == {(LEADS, "empty"): 1, (JOBS, "null_value"): 2}
    assert {p: found.next_offset for p, found in journal.positions([P0, P1, (JOBS, 0)]).items()} == {P0: 9, P1: 4}


def test_fence(journal: Journal) -> None:
    """A writer that has read another position writes nothing at all, also not for its other partitions."""
    journal.write(entry(0, 5))
    with pytest.raises(FencedError):
        journal.write(JournalEntry(moves={P1: (0, 3), P0: (4, 9)}, ingested={("b", LEADS): 8}, rejected={}))
    assert journal.totals().ingested == {("acme", LEADS): 5}
    assert {p: found.next_offset for p, found in journal.positions([P0, P1]).items()} == {P0: 5, P1: 0}
    journal.write(entry(5, 6))


def test_set_positions_is_fenced(journal: Journal) -> None:
    """A position that has changed since it was read is not replaced, and a stored one is not inserted again."""
    old, new = journal.positions([P0])[P0], Position(next_offset=3, epoch=1, cluster="c")
    journal.write(entry(0, 5))
    for before in (None, old):
        with pytest.raises(FencedError):
            journal.set_positions({P0: (before, new)})
    journal.set_positions({P0: (Position(next_offset=5, cluster="c"), new)})
    assert journal.positions([P0])[P0] == new


def test_rows_come_back(journal: Journal, journal_address: JournalAddress) -> None:
    """A kept message is the one that was written, whatever its bytes; rejected ones are listed apart."""
    kept = message_run(
        LEADS,
        (0, 'Łódź "\\', "lead.created", None, None, b"\x00\xff\n\\N"),
        (1, None, None, RejectReason.EMPTY, b"\x00", b""),
        (7, "acme", "x", None, b"", b"last"),
    )
    journal.write(JournalEntry(moves={P0: (0, 8)}, ingested={("acme", LEADS): 2}, rejected={}, message_runs=[kept]))
    with journal_address.reader() as reader:
        newest, event = reader.latest(5, rejected=False)
        (letter,) = reader.latest(5, rejected=True)
        assert (event.tenant_id, event.key, event.value) == (kept.tenants[0], None, kept.values[0])
        assert (newest.offset, newest.key, newest.value) == (7, b"", b"last")
        assert (letter.reason, letter.key, letter.value) == ("empty", b"\x00", b"")
        assert reader.latest(1, rejected=False) == [newest]
        assert [reader.message(found.id) for found in (event, letter, newest)] == [event, letter, newest]
        assert reader.message(newest.id + 1) is None
        assert list(reader.messages()) == [event, letter, newest]
        assert reader.messages_by_topic() == {LEADS: 3}


def test_a_message_is_kept_once(journal: Journal) -> None:
    """The same offset twice is refused as a whole: a backstop, should the fence ever fail."""
    journal.write(entry(0, 5, rows=5))
    again = JournalEntry(
        moves={P1: (0, 1)}, ingested={("acme", LEADS): 1}, rejected={}, message_runs=entry(4, 6, rows=2).message_runs
    )
    with pytest.raises(JournalUnavailableError, match=r"(?i)unique"):
        journal.write(again)
    assert not journal.reconnect()
    assert journal.totals().ingested == {("acme", LEADS): 5}


def test_pruning(journal: Journal, journal_address: JournalAddress) -> None:
    """Only the newest rows stay, deleted in steps of the size that is asked for; counts stay for ever."""
    for offset in range(30):
        journal.write(entry(offset, offset + 1, rows=1))
    assert [journal.prune(8) for _ in range(4)] == [8, 8, 4, 0]
    with journal_address.reader() as reader:
        assert [kept.offset for kept in reader.messages()] == list(range(20, 30))
    assert journal.totals().ingested == {("acme", LEADS): 30}


def test_pruning_by_age(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows older than the limit go, younger ones stay."""
    for offset in range(3):
        journal.write(entry(offset, offset + 1, rows=1))
    monkeypatch.setattr("sink.journal.retention._DAY_US", 0)
    assert [journal.prune(1) for _ in range(3)] == [1, 1, 0]  # the newest stays, so that no id is given twice
    monkeypatch.undo()
    journal.write(entry(3, 5, rows=2))
    assert journal.prune(100) == 0


def test_another_group(journal: Journal, journal_address: JournalAddress) -> None:
    """A journal belongs to one group: a sink of another group is refused."""
    journal.close()
    other = journal_address.new(group_id="other")
    with pytest.raises(JournalUnusableError, match="belongs to GROUP_ID crm-events-sink, not other"):
        other.open()
    other.close()


def test_newer_schema(journal: Journal, journal_address: JournalAddress) -> None:
    """A journal that a newer sink has changed is refused, and left as it is."""
    journal.close()
    if journal.restores_totals:
        with closing(sqlite3.connect(journal_address.address.removeprefix("sqlite:"))) as db:
            db.execute("PRAGMA user_version = 99")
    else:
        with psycopg.connect(journal_address.address) as db:
            db.execute("UPDATE crm_events_sink.journal SET schema_version = 99")
    with pytest.raises(JournalUnusableError, match=r"has schema 99, this sink knows \d; start a newer sink"):
        journal.open()
    journal.close()


def test_sqlite_message_runs_are_pruned_whole(tmp_path: Path) -> None:
    """Messages that came together go together, when none of them is among the newest; the last ones always stay."""
    journal = sqlite_address(tmp_path).opened(SINK_JOURNAL_EVENTS="rows", SINK_JOURNAL_MAX_ROWS="10")
    journal.set_positions({P0: (None, Position(next_offset=0, cluster="c"))})
    for low in range(0, 28, 7):
        journal.write(entry(low, low + 7, rows=7))
    assert [journal.prune(1) for _ in range(3)] == [7, 7, 0]
    journal.close()
    with closing(SqliteReader(tmp_path / "journal.sqlite")) as reader:
        assert [kept.offset for kept in reader.messages()] == list(range(14, 28))


EVERY_MESSAGE = (
    'SELECT id, topic, partition, epoch, "offset", tenant_id, event_type, reason, "key", value, received_us'
    " FROM message ORDER BY id"
)


def test_sqlite_file_of_the_second_schema(tmp_path: Path) -> None:
    """A file with a list of facts for each message is migrated, too."""
    old = tmp_path / "journal.sqlite"
    facts = (
        '[[6,"acme","lead.created",null,0,0,0,2],[8,null,null,"null_value",0,null,2,null],'
        '[9,null,null,"empty",0,3,2,0],[12,"be\\"ta","x",null,3,1,2,4]]'
    )
    with closing(sqlite3.connect(old)) as db:
        db.executescript(
            f"{MIGRATIONS[0]}{MIGRATIONS[1]}PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 2;"
        )
        db.execute("INSERT INTO position VALUES (?, 0, 13, 0, 'c', 13)", (LEADS,))
        for number, first, last, count, bad, text in ((3, 6, 12, 4, 2, facts), (7, 2, 2, 1, 0, facts[:39] + "]")):
            row = (number, JOBS if bad else LEADS, first, last, count, bad, text, b"kkkl", b"{}{1}!")
            db.execute("INSERT INTO stretch VALUES (?, ?, 0, 0, ?, ?, ?, ?, 1000000, ?, ?, ?)", row)
        before = db.execute(EVERY_MESSAGE).fetchall()
        db.commit()
    assert [row[4:10] for row in before] == [
        (6, "acme", "lead.created", None, b"", b"{}"),
        (8, None, None, "null_value", None, None),
        (9, None, None, "empty", b"kkk", b""),
        (12, 'be"ta', "x", None, b"l", b"{1}!"),
        (6, "acme", "lead.created", None, b"", b"{}"),
    ]
    journal = sqlite_address(tmp_path).opened(SINK_JOURNAL_EVENTS="rows")
    journal.write(entry(13, 15, rows=2))
    journal.close()
    with closing(sqlite3.connect(old)) as db:
        after = db.execute(EVERY_MESSAGE).fetchall()
    assert after[:5] == before
    assert [(row[0], row[4]) for row in after[5:]] == [(8, 13), (9, 14)]


def test_sqlite_file_of_the_first_schema(tmp_path: Path) -> None:
    """A file of an older sink is migrated: its counts, positions and messages are what they were."""
    old = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(old)) as db:
        db.executescript(f"{MIGRATIONS[0]}PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
        db.execute("INSERT INTO journal VALUES ('crm-events-sink')")
        db.execute("INSERT INTO position VALUES (?, 0, 9, 0, 'c', 9)", (LEADS,))
        db.execute("INSERT INTO ingested VALUES (1, 'acme', ?, 8)", (LEADS,))
        for number, offset, tenant, reason, key, value in (
            (3, 6, "acme", None, None, b"\x00\xff"),
            (4, 8, "acme", None, b"k", b"{}"),
            (5, 7, None, "null_value", b"", None),  # rejected ones came after the events of their batch
        ):
            row = (number, LEADS, offset, tenant, "lead.created", reason, key, value)
            db.execute("INSERT INTO message VALUES (?, ?, 0, 0, ?, ?, ?, ?, ?, ?, 1000000)", row)
        before = db.execute(EVERY_MESSAGE).fetchall()
        db.commit()
    journal = sqlite_address(tmp_path).opened(SINK_JOURNAL_EVENTS="rows")
    journal.write(entry(9, 11, rows=2))
    journal.close()
    with closing(sqlite3.connect(old)) as db:
        after = db.execute(EVERY_MESSAGE).fetchall()
    assert after[:3] == before
    assert [(row[0], row[4]) for row in after[3:]] == [(6, 9), (7, 10)]
    with closing(SqliteReader(old)) as reader:
        assert [kept.id for kept in reader.latest(9, rejected=True)] == [5]
        assert [kept.value for kept in reader.latest(2, rejected=False)] == [b"{}", b"{}"]
        assert reader.totals().ingested == {("acme", LEADS): 10}


def test_reopened(journal: Journal, journal_address: JournalAddress) -> None:
    """A new process finds everything."""
    journal.write(entry(0, 5))
    journal.close()
    again = journal_address.opened()
    assert again.totals().ingested == {("acme", LEADS): 5}
    again.write(entry(5, 6))
    assert again.totals().ingested == {("acme", LEADS): 6}
    again.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A file is written by one sink. A second one is refused, with what to use instead, until the first ends."""
    first, second = sqlite_address(tmp_path).opened(), sqlite_address(tmp_path).new()
    with pytest.raises(JournalUnusableError, match=r"another sink uses .*; several sinks share a postgresql://"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_foreign_files(tmp_path: Path) -> None:
    """Files of other programs are refused and not touched, and so is a folder that is not there."""
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at " * 20)
    with closing(sqlite3.connect(tmp_path / "other")) as db:
        db.execute("CREATE TABLE theirs (x)")
    for name, error in (
        ("text", JournalUnavailableError),
        ("other", JournalUnusableError),
        ("no/such", JournalUnusableError),
    ):
        journal = JournalAddress(f"sqlite:{tmp_path / name}").new()
        with pytest.raises(error):
            journal.open()
        journal.close()
    with closing(sqlite3.connect(tmp_path / "other")) as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_two_sinks_share_a_database(postgres: PostgresServer) -> None:
    """Two members with partitions of their own count the same tenants; a third that comes late is fenced off."""
    address = JournalAddress(postgres.new_database())
    first, second = address.opened(), address.opened()
    start = Position(next_offset=0, cluster="c")
    first.set_positions({P0: (None, start)})
    second.set_positions({P1: (None, start)})
    for n in range(20):
        first.write(JournalEntry(moves={P0: (n, n + 1)}, ingested={("a", LEADS): 1, ("b", LEADS): 1}, rejected={}))
        second.write(JournalEntry(moves={P1: (n, n + 1)}, ingested={("b", LEADS): 1, ("a", LEADS): 1}, rejected={}))
    with pytest.raises(FencedError):
        second.write(entry(5, 6))
    assert first.totals().ingested == {("a", LEADS): 40, ("b", LEADS): 40}
    first.close()
    second.close()


def test_frozen_server(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is away after seconds, not for ever, and what it did not take was not counted."""
    journal = JournalAddress(postgres.new_database()).opened()
    journal.set_positions({P0: (None, Position(next_offset=0, cluster="c"))})
    monkeypatch.setattr("sink.journal.postgres_reader.ANSWER_S", 0.5)
    monkeypatch.setattr("sink.journal.postgres_reader._CONNECT_S", 2)
    postgres.freeze()
    try:
        with pytest.raises(JournalUnavailableError):
            journal.write(entry(0, 5))
        with pytest.raises(JournalUnavailableError, match="timeout"):
            journal.reconnect()
    finally:
        postgres.thaw()
        monkeypatch.undo()  # the server that answers has the usual time for it
    assert journal.reconnect() == bool(journal.totals().ingested)
    journal.close()


def test_lost_answer(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that was not answered is looked up: it counts if it happened, and not if it did not."""
    journal = JournalAddress(postgres.new_database()).opened()
    journal.set_positions({P0: (None, Position(next_offset=0, cluster="c"))})
    real_transaction = psycopg.Connection.transaction

    @contextmanager
    def lost(db: psycopg.Connection) -> Iterator[None]:
        with real_transaction(db):
            yield
        db.close()
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(psycopg.Connection, "transaction", lost)
    with pytest.raises(JournalUnavailableError, match="the connection is lost"):
        journal.write(entry(0, 5))
    monkeypatch.undo()
    assert journal.reconnect()
    assert journal.totals().ingested == {("acme", LEADS): 5}
    assert not journal.reconnect()
    journal.close()


def test_no_secret_in_an_error(postgres: PostgresServer) -> None:
    """No message about an address has its user or password, whatever is wrong with it."""
    for address in (postgres.dsn("no_such_database"), "postgresql://u:never-shown@127.0.0.1:1/x"):
        journal = JournalAddress(address).new()
        with pytest.raises(JournalUnavailableError) as away:
            journal.open()
        assert "never-shown" not in f"{away.value}{journal.name}"
    with pytest.raises(SettingsError) as refused:
        JournalAddress("postgresql://u:never-shown@[::1/x").new()
    assert "never-shown" not in str(refused.value)
