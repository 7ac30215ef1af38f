"""The journal in one SQLite file, for one sink process.

WAL with synchronous=NORMAL: a killed process loses nothing. A machine that loses power may lose the last transactions,
and then counts and positions are older *together*: what is missing is read from Kafka again. Readers never block the
writer. The file must lie on a local disk: WAL does not work over a network (sqlite.org/wal.html).
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, cast

import msgspec

from sink.journal.checkpoints import MOST_LOG_BYTES, Checkpoints
from sink.journal.model import (
    Entry,
    JournalAwayError,
    JournalRefusedError,
    OvertakenError,
    Partition,
    Position,
    Stretch,
    Totals,
)
from sink.journal.retention import Limits
from sink.journal.sqlite_reader import APPLICATION_ID, SqliteReader, connected

_KNOWN_IDS: Final = 100_000  # of counts, held in memory: some 20 MB
_COUNTS_LOG_BYTES: Final = 16 * 1024 * 1024  # of the write-ahead log without messages, between two checkpoints
# Of a new file. A transaction writes whole pages: a few small ones for counts, and for messages as many as they fill,
# where large ones take a third less of the time of a commit.
_PAGE_BYTES: Final = {"counts": 4096, "messages": 32_768}

_SCHEMA_1: Final = """
CREATE TABLE journal (consumer_group TEXT NOT NULL);
CREATE TABLE position (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, epoch INTEGER NOT NULL,
    cluster TEXT NOT NULL, passed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE ingested (
    id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, topic TEXT NOT NULL, events INTEGER NOT NULL,
    UNIQUE (tenant_id, topic));
CREATE TABLE rejected (
    topic TEXT NOT NULL, reason TEXT NOT NULL, messages INTEGER NOT NULL, PRIMARY KEY (topic, reason)) WITHOUT ROWID;
CREATE TABLE message (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, epoch INTEGER NOT NULL,
    "offset" INTEGER NOT NULL, tenant_id TEXT, event_type TEXT, reason TEXT, "key" BLOB, value BLOB,
    received_us INTEGER NOT NULL, UNIQUE (topic, partition, epoch, "offset"));
CREATE INDEX message_rejected ON message (id) WHERE reason IS NOT NULL;
"""
# Messages are kept in stretches: a row for up to 500 messages of a partition that came together, because a row of its
# own for each took five times as long to write. The view `message` shows each as a row.
_SCHEMA_2: Final = """
CREATE TABLE stretch (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, epoch INTEGER NOT NULL,
    first_offset INTEGER NOT NULL, last_offset INTEGER NOT NULL, messages INTEGER NOT NULL, rejected INTEGER NOT NULL,
    received_us INTEGER NOT NULL, facts TEXT NOT NULL, message_keys BLOB NOT NULL, message_values BLOB NOT NULL,
    UNIQUE (topic, partition, epoch, last_offset));
INSERT INTO stretch
SELECT id, topic, partition, epoch, "offset", "offset", 1, reason IS NOT NULL, received_us,
    json_array(json_array("offset", tenant_id, event_type, reason, 0, length("key"), 0, length(value))),
    coalesce("key", x''), coalesce(value, x'')
FROM message ORDER BY id;
DROP TABLE message;
CREATE INDEX stretch_rejected ON stretch (id) WHERE rejected > 0;
CREATE TRIGGER stretch_once BEFORE INSERT ON stretch WHEN NEW.first_offset <= (
    SELECT max(last_offset) FROM stretch WHERE topic = NEW.topic AND partition = NEW.partition AND epoch = NEW.epoch)
BEGIN SELECT RAISE(ABORT, 'offsets must be unique: some of these are kept already'); END;
CREATE VIEW message AS
SELECT stretch.id + fact.key AS id, topic, partition, epoch, json_extract(fact.value, '$[0]') AS "offset",
    json_extract(fact.value, '$[1]') AS tenant_id, json_extract(fact.value, '$[2]') AS event_type,
    json_extract(fact.value, '$[3]') AS reason,
    CASE json_extract(fact.value, '$[5]') WHEN 0 THEN x''
        ELSE substr(message_keys, 1 + json_extract(fact.value, '$[4]'), json_extract(fact.value, '$[5]')) END AS "key",
    CASE json_extract(fact.value, '$[7]') WHEN 0 THEN x''
        ELSE substr(message_values, 1 + json_extract(fact.value, '$[6]'), json_extract(fact.value, '$[7]')) END
        AS value,
    received_us, stretch.id AS stretch_id
FROM stretch, json_each(facts) AS fact;
"""
# `facts` is JSON, so that SQL can read it: for each message its offset, tenant, type, reason (an empty list if there is
# none), and begin and length of its key and of its value within `message_keys` and `message_values`. By column, which
# takes a third of the time that a list for each message took.
_SCHEMA_3: Final = """
DROP VIEW message;
UPDATE stretch SET facts = (
    SELECT json_object(
        'offset', json_group_array(json_extract(value, '$[0]')),
        'tenant_id', json_group_array(json_extract(value, '$[1]')),
        'event_type', json_group_array(json_extract(value, '$[2]')),
        'reason', json_group_array(json_extract(value, '$[3]')),
        'key_at', json_group_array(json_extract(value, '$[4]')),
        'key_bytes', json_group_array(json_extract(value, '$[5]')),
        'value_at', json_group_array(json_extract(value, '$[6]')),
        'value_bytes', json_group_array(json_extract(value, '$[7]')))
    FROM json_each(facts));
CREATE VIEW message AS
SELECT stretch.id + fact.key AS id, topic, partition, epoch, fact.value AS "offset",
    json_extract(facts, '$.tenant_id[' || fact.key || ']') AS tenant_id,
    json_extract(facts, '$.event_type[' || fact.key || ']') AS event_type,
    json_extract(facts, '$.reason[' || fact.key || ']') AS reason,
    CASE json_extract(facts, '$.key_bytes[' || fact.key || ']') WHEN 0 THEN x''
        ELSE substr(message_keys, 1 + json_extract(facts, '$.key_at[' || fact.key || ']'),
            json_extract(facts, '$.key_bytes[' || fact.key || ']')) END AS "key",
    CASE json_extract(facts, '$.value_bytes[' || fact.key || ']') WHEN 0 THEN x''
        ELSE substr(message_values, 1 + json_extract(facts, '$.value_at[' || fact.key || ']'),
            json_extract(facts, '$.value_bytes[' || fact.key || ']')) END AS value,
    received_us, stretch.id AS stretch_id
FROM stretch, json_each(facts, '$.offset') AS fact;
"""
_MIGRATIONS: Final = {0: _SCHEMA_1, 1: _SCHEMA_2, 2: _SCHEMA_3}
"""By the version that they start from. Each runs in a transaction of its own together with the new version's number."""
SCHEMA_VERSION: Final = len(_MIGRATIONS)

_MOVE: Final = 'UPDATE position SET next = ?, passed = passed + ? WHERE topic = ? AND "partition" = ? AND next = ?'
_PLACE: Final = """
INSERT INTO position (next, epoch, cluster, topic, "partition") VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_REPLACE: Final = """
UPDATE position SET next = ?, epoch = ?, cluster = ? WHERE topic = ? AND "partition" = ? AND next = ?"""
_FIND: Final = "SELECT id FROM ingested WHERE tenant_id = ? AND topic = ?"
_FIRST: Final = "INSERT INTO ingested (tenant_id, topic, events) VALUES (?, ?, 0)"
_INGEST: Final = "UPDATE ingested SET events = events + ? WHERE id = ?"  # by id: twice as fast as by the two names
_REJECT: Final = """
INSERT INTO rejected (topic, reason, messages) VALUES (?, ?, ?)
ON CONFLICT (topic, reason) DO UPDATE SET messages = messages + excluded.messages"""
_NEXT_ID: Final = "SELECT coalesce(max(id) + (SELECT messages FROM stretch ORDER BY id DESC LIMIT 1), 1) FROM stretch"
_KEEP: Final = "INSERT INTO stretch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OLDEST: Final = """
SELECT id, received_us, (SELECT id + messages - 1 FROM stretch ORDER BY id DESC LIMIT 1)
FROM stretch ORDER BY id LIMIT 1"""
# Whole stretches, and never the newest, whose id would be given to another one.
_PRUNE: Final = """
DELETE FROM stretch
WHERE id < ? AND (id + messages <= ? OR received_us < ?) AND id < (SELECT max(id) FROM stretch) RETURNING messages"""

_encode_facts = msgspec.json.Encoder().encode


class SqliteJournal:
    """The file, which one process at a time may write."""

    is_total = True

    def __init__(self, path: Path, *, group_id: str, keeps_rows: bool, limits: Limits) -> None:
        self.name = f"sqlite:{path}"
        self.keeps_rows = keeps_rows
        self._path = path
        self._group_id = group_id
        self._limits = limits
        self._lock: int | None = None
        self._db: sqlite3.Connection | None = None
        self._checkpoints: Checkpoints | None = None
        self._ids: dict[tuple[str, str], int] = {}  # of the counts, by tenant and topic
        self._doubtful: Entry | None = None

    def open(self) -> None:
        """Lock the file, and bring its schema up to date. Raises JournalRefusedError, JournalAwayError."""
        self._lock = self._lock or self._locked()
        try:
            self._db = connected(self._path)
            new_pages = _PAGE_BYTES["messages" if self.keeps_rows else "counts"]
            self._db.executescript(f"PRAGMA page_size={new_pages}; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL")
            (page_bytes,) = self._db.execute("PRAGMA page_size").fetchone()
            self._db.execute(f"PRAGMA wal_autocheckpoint={_COUNTS_LOG_BYTES // page_bytes}")
            self._migrate(self._db)
            if self.keeps_rows:
                self._db.executescript(f"PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit={MOST_LOG_BYTES}")
                self._checkpoints = Checkpoints(self._path)
        except sqlite3.Error as error:
            self.close_db()
            raise JournalAwayError(f"{self.name}: {error}") from None

    def totals(self) -> Totals:
        """Return everything counted."""
        with closing(self.reader()) as reader:
            return reader.totals()

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, Position]:
        """Return the positions that are known."""
        with closing(self.reader()) as reader:
            stored = {place.partition: place.position for place in reader.places()}
        return {partition: stored[partition] for partition in partitions if partition in stored}

    def reader(self) -> SqliteReader:
        """Open the file once more, to read. Raises JournalAwayError."""
        return SqliteReader(self._path)

    def place(self, changes: Mapping[Partition, tuple[Position | None, Position]]) -> None:
        """Replace positions, if they are still what was read."""

        def change(db: sqlite3.Connection) -> None:
            for partition, (old, new) in changes.items():
                values = (new.next_offset, new.epoch, new.cluster, *partition)
                done = db.execute(_PLACE, values) if old is None else db.execute(_REPLACE, (*values, old.next_offset))
                if done.rowcount != 1:
                    raise OvertakenError(f"{self.name} was written by another process")

        if changes:
            self._in_transaction(change)

    def write(self, entry: Entry) -> None:
        """Write an entry in one transaction."""

        def change(db: sqlite3.Connection) -> None:
            moves = [(high, high - low, *partition, low) for partition, (low, high) in entry.moves.items()]
            if db.executemany(_MOVE, moves).rowcount != len(moves):
                raise OvertakenError(f"{self.name} was written by another process")
            counts = [(count, self._id(db, key)) for key, count in entry.ingested.items()]
            db.executemany(_INGEST, counts)
            if entry.rejected:
                db.executemany(_REJECT, [(*key, count) for key, count in entry.rejected.items()])
            if entry.stretches:
                ((next_id,),) = db.execute(_NEXT_ID).fetchall()
                db.executemany(_KEEP, _kept(entry.stretches, next_id))

        self._doubtful = None
        try:
            self._in_transaction(change)
        except JournalAwayError:
            self._doubtful = entry
            raise
        if self._checkpoints is not None:
            self._checkpoints.committed(sum(stretch.size() for stretch in entry.stretches))

    def settled(self) -> bool:
        """Open the file again; as we are its only writer, the positions tell whether the entry was written."""
        self.close_db()
        self.open()
        entry, self._doubtful = self._doubtful, None
        if entry is None:
            return False
        stored = self.positions(entry.moves)
        return all(stored[partition].next_offset == high for partition, (_, high) in entry.moves.items())

    def prune(self, most: int) -> int:
        """Delete messages that are too old or too many: the stretches that begin within the `most` oldest ids."""
        deleted = 0

        def change(db: sqlite3.Connection) -> None:
            nonlocal deleted
            for oldest, oldest_us, newest in db.execute(_OLDEST).fetchall():
                bounds = self._limits.bounds(oldest=oldest, oldest_us=oldest_us, newest=newest, most=most)
                if bounds is not None:
                    ends = (bounds.step_end, bounds.surplus_end, bounds.aged_before_us)
                    deleted = sum(messages for (messages,) in db.execute(_PRUNE, ends))

        self._in_transaction(change)
        return deleted

    def close(self) -> None:
        """Close the file and let another process have it."""
        self.close_db()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def close_db(self) -> None:
        """Close the connection, and keep the lock."""
        if self._checkpoints is not None:
            self._checkpoints.close()
            self._checkpoints = None
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise JournalAwayError(f"{self.name} is not open")
        return self._db

    def _in_transaction(self, change: Callable[[sqlite3.Connection], object]) -> None:
        db = self._open_db()
        try:
            db.execute("BEGIN IMMEDIATE")
            change(db)
            db.execute("COMMIT")
        except OvertakenError:  # found before any count is touched
            db.execute("ROLLBACK")
            raise
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            self._ids.clear()  # some may be of counts that are not there now
            raise JournalAwayError(f"{self.name}: {error}") from None

    def _locked(self) -> int:
        """Keep other sinks out: two of them would go on from the same totals. The kernel unlocks when a process dies.

        A file beside the journal: closing any other handle of the database itself would drop SQLite's own locks
        (sqlite.org/howtocorrupt.html, 2.2).
        """
        path = self._path.with_name(self._path.name + ".lock")
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalRefusedError(f"SINK_JOURNAL: cannot write {path}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise JournalRefusedError(
                f"SINK_JOURNAL: another sink is using {self._path}; several sinks share a postgresql:// journal"
            ) from None
        return lock

    def _migrate(self, db: sqlite3.Connection) -> None:
        application, version = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != APPLICATION_ID:
            raise JournalRefusedError(f"SINK_JOURNAL: {self._path} is a database of another program")
        if version > SCHEMA_VERSION:
            raise JournalRefusedError(
                f"SINK_JOURNAL: {self._path} has schema {version}, this sink knows {SCHEMA_VERSION}: start a newer sink"
            )
        for start in range(version, SCHEMA_VERSION):
            db.executescript(
                f"BEGIN IMMEDIATE; {_MIGRATIONS[start]}"
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {start + 1}; COMMIT"
            )
        self._claim(db)

    def _id(self, db: sqlite3.Connection, key: tuple[str, str]) -> int:
        """Return the id of a tenant's count in a topic, which is made at 0 if there is none."""
        known = self._ids.get(key)
        if known is None:
            if len(self._ids) >= _KNOWN_IDS:
                self._ids.clear()
            found = db.execute(_FIND, key).fetchone()
            known = self._ids[key] = found[0] if found else db.execute(_FIRST, key).lastrowid or 0
        return known

    def _claim(self, db: sqlite3.Connection) -> None:
        """One journal is the memory of one group: another group starts at offsets of its own."""
        db.execute("INSERT INTO journal SELECT ? WHERE NOT EXISTS (SELECT * FROM journal)", (self._group_id,))
        (group,) = db.execute("SELECT consumer_group FROM journal").fetchone()
        if group != self._group_id:
            raise JournalRefusedError(
                f"SINK_JOURNAL: {self._path} belongs to GROUP_ID {group}, not {self._group_id}: give it another file"
            )


def _kept(stretches: Iterable[Stretch], next_id: int) -> Iterator[tuple[object, ...]]:
    """Return the rows of the table `stretch`; a message's id is that of its stretch and its place in it."""
    now_us = time.time_ns() // 1000
    for stretch in stretches:
        count = len(stretch.offsets)
        rejected = count - stretch.reasons.count(None)
        keys, values = _Joined.of(stretch.keys), _Joined.of(stretch.values)
        facts = {
            "offset": stretch.offsets,
            "tenant_id": stretch.tenants,
            "event_type": stretch.types,
            "reason": stretch.reasons if rejected else (),
            "key_at": keys.begins,
            "key_bytes": keys.lengths,
            "value_at": values.begins,
            "value_bytes": values.lengths,
        }
        yield (
            next_id,
            *(stretch.topic, stretch.partition, stretch.epoch, stretch.offsets[0], stretch.offsets[-1]),
            *(count, rejected, now_us, _encode_facts(facts).decode(), keys.text, values.text),
        )
        next_id += count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined:
    """Texts put together: where each begins, and how long it is; None for one that is null."""

    text: bytes
    begins: Sequence[int]
    lengths: Sequence[int | None]

    @classmethod
    def of(cls, texts: Sequence[bytes | None]) -> "_Joined":
        nulls = None in texts
        there = [text or b"" for text in texts] if nulls else cast("Sequence[bytes]", texts)
        lengths = list(map(len, there))
        return cls(
            text=b"".join(there),
            begins=list(accumulate(lengths[:-1], initial=0)),
            lengths=[None if text is None else len(text) for text in texts] if nulls else lengths,
        )
