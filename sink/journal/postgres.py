"""The journal in a PostgreSQL database, which several sinks of one group share.

It has a schema of its own, for the database may be the one of the sink before this one.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any, Final

from psycopg import errors

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
from sink.journal.postgres_reader import Connection, PostgresReader, answering, connected, shown_name
from sink.journal.retention import OLDEST, Limits

_LOCK: Final = 0x43524D45  # "CRME": one sink at a time migrates

_FIRST_SCHEMA: Final = """
CREATE SCHEMA IF NOT EXISTS crm_events_sink;
CREATE TABLE journal (consumer_group text NOT NULL, schema_version integer NOT NULL);
INSERT INTO journal VALUES ('', 0);
CREATE TABLE position (
    topic text, partition integer, next bigint NOT NULL, epoch integer NOT NULL,
    cluster text NOT NULL, passed bigint NOT NULL DEFAULT 0, PRIMARY KEY (topic, partition)) WITH (fillfactor = 50);
CREATE TABLE ingested (
    id bigint GENERATED ALWAYS AS IDENTITY, tenant_id text, topic text, events bigint NOT NULL,
    PRIMARY KEY (tenant_id, topic)) WITH (fillfactor = 50);
CREATE TABLE rejected (
    topic text, reason text, messages bigint NOT NULL, PRIMARY KEY (topic, reason)) WITH (fillfactor = 50);
CREATE TABLE message (
    id bigint GENERATED ALWAYS AS IDENTITY, topic text, partition integer, epoch integer, "offset" bigint,
    tenant_id text, event_type text, reason text, key bytea, value bytea, received_us bigint NOT NULL,
    PRIMARY KEY (topic, partition, epoch, "offset"));
CREATE UNIQUE INDEX message_id ON message (id);
CREATE INDEX message_rejected ON message (id) WHERE reason IS NOT NULL
"""
_MIGRATIONS: Final = {0: _FIRST_SCHEMA}
"""By the version that they start from."""
SCHEMA_VERSION: Final = len(_MIGRATIONS)

_MOVE: Final = """
UPDATE position SET next = moves.high, passed = passed + moves.high - moves.low
FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[]) AS moves (topic, partition, low, high)
WHERE position.topic = moves.topic AND position.partition = moves.partition AND next = moves.low"""
# Sorted: two sinks that count the same tenants take their locks in the same order, and never wait for each other.
_INGEST: Final = """
INSERT INTO ingested (tenant_id, topic, events)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS counts (tenant_id, topic, events) ORDER BY 1, 2
ON CONFLICT (tenant_id, topic) DO UPDATE SET events = ingested.events + excluded.events"""
_REJECT: Final = """
INSERT INTO rejected (topic, reason, messages)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS counts (topic, reason, messages) ORDER BY 1, 2
ON CONFLICT (topic, reason) DO UPDATE SET messages = rejected.messages + excluded.messages"""
_KEEP: Final = """
COPY message (topic, partition, epoch, "offset", tenant_id, event_type, reason, key, value, received_us)
FROM STDIN (FORMAT BINARY)"""
_KEEP_TYPES: Final = ("text", "int4", "int4", "int8", "text", "text", "text", "bytea", "bytea", "int8")
_PLACE: Final = """
INSERT INTO position (next, epoch, cluster, topic, partition) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_REPLACE: Final = """
UPDATE position SET next = %s, epoch = %s, cluster = %s WHERE topic = %s AND partition = %s AND next = %s"""
_PRUNE: Final = "DELETE FROM message WHERE id < %s AND (id < %s OR received_us < %s)"


class PostgresJournal:
    """The database. Raises SettingsError if the address cannot be read."""

    is_total = False  # each process shows what it has counted itself, so that a sum over them is right

    def __init__(self, dsn: str, *, group_id: str, keeps_rows: bool, limits: Limits) -> None:
        self.name = shown_name(dsn)
        self.keeps_rows = keeps_rows
        self._dsn = dsn
        self._group_id = group_id
        self._limits = limits
        self._db: Connection | None = None
        self._transaction: int | None = None  # the id of the entry's transaction whose commit was not answered

    def open(self) -> None:
        """Connect, and bring the schema up to date. Raises JournalAwayError, JournalRefusedError."""
        self.close()
        db = connected(self._dsn, self.name)
        try:
            with answering(db, self.name), db.transaction():
                self._migrate(db)
        except (JournalAwayError, JournalRefusedError):
            db.close()
            raise
        self._db = db

    def totals(self) -> Totals:
        """Return everything counted, by any process."""
        return self._here().totals()

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, Position]:
        """Return the positions that are known."""
        stored = {place.partition: place.position for place in self._here().places()}
        return {partition: stored[partition] for partition in partitions if partition in stored}

    def place(self, changes: Mapping[Partition, tuple[Position | None, Position]]) -> None:
        """Replace positions, if they are still what was read."""
        with self._changing() as db:
            for partition, (old, new) in sorted(changes.items()):
                values = (new.next_offset, new.epoch, new.cluster, *partition)
                done = db.execute(_PLACE, values) if old is None else db.execute(_REPLACE, (*values, old.next_offset))
                if done.rowcount != 1:
                    raise OvertakenError("another member has placed a partition")

    def write(self, entry: Entry) -> None:
        """Write an entry in one transaction."""
        self._transaction = None
        with self._changing() as db:
            with db.pipeline():
                moved = db.execute(_MOVE, _columns([(*p, low, high) for p, (low, high) in entry.moves.items()], 4))
                db.execute(_INGEST, _columns([(*key, n) for key, n in entry.ingested.items()], 3))
                if entry.rejected:
                    db.execute(_REJECT, _columns([(*key, n) for key, n in entry.rejected.items()], 3))
                current = db.execute("SELECT txid_current()")
            if moved.rowcount != len(entry.moves):
                raise OvertakenError("another member has counted of these partitions")
            if entry.stretches:
                _keep(db, entry.stretches)
            self._transaction = current.fetchall()[0][0]  # from here on the commit may happen without our knowledge
        self._transaction = None

    def settled(self) -> bool:
        """Connect again, and ask what became of the transaction whose commit was not answered."""
        self.open()
        if self._transaction is None:
            return False
        with self._asked() as db:
            (status,) = db.execute("SELECT txid_status(%s)", (self._transaction,)).fetchall()[0]
        if status == "in progress":
            raise JournalAwayError(f"{self.name}: the last transaction has not ended yet")
        self._transaction = None
        return bool(status == "committed")

    def prune(self, most: int) -> int:
        """Delete rows that are too old or too many, but no more than `most`."""
        with self._changing() as db:
            for oldest, oldest_us, newest in db.execute(OLDEST).fetchall():
                bounds = self._limits.bounds(oldest=oldest, oldest_us=oldest_us, newest=newest, most=most)
                if bounds is not None:
                    return db.execute(_PRUNE, (bounds.step_end, bounds.surplus_end, bounds.aged_before_us)).rowcount
        return 0

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open_db(self) -> Connection:
        if self._db is None:
            raise JournalAwayError(f"{self.name} is not connected")
        return self._db

    def _here(self) -> PostgresReader:
        return PostgresReader(self._open_db(), self.name)

    @contextmanager
    def _asked(self) -> Iterator[Connection]:
        db = self._open_db()
        with answering(db, self.name):
            yield db

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """Run one transaction. A lock that another member held in the other order is a case of being overtaken."""
        with self._asked() as db:
            try:
                with db.transaction():
                    yield db
            except (errors.DeadlockDetected, errors.SerializationFailure):
                raise OvertakenError("another member changes the same partitions") from None

    def _migrate(self, db: Connection) -> None:
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        ((exists,),) = db.execute("SELECT to_regclass('crm_events_sink.journal') IS NOT NULL").fetchall()
        version = db.execute("SELECT schema_version FROM journal").fetchall()[0][0] if exists else 0
        if version > SCHEMA_VERSION:
            raise JournalRefusedError(
                f"SINK_JOURNAL: {self.name} has schema {version}, this sink knows {SCHEMA_VERSION}: start a newer sink"
            )
        for start in range(version, SCHEMA_VERSION):
            db.execute(_MIGRATIONS[start])
        if version < SCHEMA_VERSION:
            db.execute("UPDATE journal SET schema_version = %s", (SCHEMA_VERSION,))
        self._claim(db)

    def _claim(self, db: Connection) -> None:
        """One journal is the memory of one group: another group starts at offsets of its own."""
        db.execute("UPDATE journal SET consumer_group = %s WHERE consumer_group = ''", (self._group_id,))
        ((group,),) = db.execute("SELECT consumer_group FROM journal").fetchall()
        if group != self._group_id:
            raise JournalRefusedError(
                f"SINK_JOURNAL: {self.name} belongs to GROUP_ID {group}, not {self._group_id}: give it another database"
            )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _keep(db: Connection, stretches: Iterable[Stretch]) -> None:
    now_us = time.time_ns() // 1000
    with db.cursor().copy(_KEEP) as copy:
        copy.set_types(_KEEP_TYPES)
        for stretch in stretches:
            for row in _rows(stretch, now_us):
                copy.write_row(row)


def _rows(stretch: Stretch, now_us: int) -> Iterable[tuple[Any, ...]]:
    place = map(repeat, (stretch.topic, stretch.partition, stretch.epoch))
    messages = (stretch.offsets, stretch.tenants, stretch.types, stretch.reasons, stretch.keys, stretch.values)
    return zip(*place, *messages, repeat(now_us), strict=False)  # strict would refuse the endless columns
