"""The journal in a PostgreSQL database, which several sinks of one group share.

It has its own schema, because the database may be the one of the previous sink.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any, Final

from psycopg import errors

from sink.journal.model import (
    FencedError,
    JournalEntry,
    JournalUnavailableError,
    JournalUnusableError,
    MessageRun,
    Partition,
    Position,
    Totals,
)
from sink.journal.postgres_reader import Connection, PostgresReader, answer_deadline, connected, redacted_address
from sink.journal.retention import OLDEST, RetentionLimits

_MIGRATION_LOCK: Final = 0x43524D45  # "CRME": one sink at a time migrates

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

_ADVANCE_POSITIONS: Final = """
UPDATE position SET next = moves.high, passed = passed + moves.high - moves.low
FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[]) AS moves (topic, partition, low, high)
WHERE position.topic = moves.topic AND position.partition = moves.partition AND next = moves.low"""
# Sorted: two sinks that count the same tenants lock the rows in the same order, so they cannot deadlock.
_ADD_INGESTED: Final = """
INSERT INTO ingested (tenant_id, topic, events)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS counts (tenant_id, topic, events) ORDER BY 1, 2
ON CONFLICT (tenant_id, topic) DO UPDATE SET events = ingested.events + excluded.events"""
_ADD_REJECTED: Final = """
INSERT INTO rejected (topic, reason, messages)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS counts (topic, reason, messages) ORDER BY 1, 2
ON CONFLICT (topic, reason) DO UPDATE SET messages = rejected.messages + excluded.messages"""
_COPY_MESSAGES: Final = """
COPY message (topic, partition, epoch, "offset", tenant_id, event_type, reason, key, value, received_us)
FROM STDIN (FORMAT BINARY)"""
_COPY_TYPES: Final = ("text", "int4", "int4", "int8", "text", "text", "text", "bytea", "bytea", "int8")
_INSERT_POSITION: Final = """
INSERT INTO position (next, epoch, cluster, topic, partition) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_REPLACE_POSITION: Final = """
UPDATE position SET next = %s, epoch = %s, cluster = %s WHERE topic = %s AND partition = %s AND next = %s"""
_DELETE_MESSAGES: Final = "DELETE FROM message WHERE id < %s AND (id < %s OR received_us < %s)"


class PostgresJournal:
    """The database. Raises SettingsError if the address cannot be read."""

    restores_totals = False  # each process shows only what it has counted itself, so that the sum over them is exact

    def __init__(self, dsn: str, *, group_id: str, stores_messages: bool, limits: RetentionLimits) -> None:
        self.name = redacted_address(dsn)
        self.stores_messages = stores_messages
        self._dsn = dsn
        self._group_id = group_id
        self._limits = limits
        self._db: Connection | None = None
        self._in_doubt_id: int | None = None  # of a transaction whose commit was not answered

    def open(self) -> None:
        """Connect, and migrate the schema. Raises JournalUnavailableError, JournalUnusableError."""
        self.close()
        db = connected(self._dsn, self.name)
        try:
            with answer_deadline(db, self.name), db.transaction():
                self._migrate(db)
        except (JournalUnavailableError, JournalUnusableError):
            db.close()
            raise
        self._db = db

    def totals(self) -> Totals:
        """Return everything counted, by all processes."""
        return self._reader().totals()

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, Position]:
        """Return the positions that are stored."""
        stored = {partition.key: partition.position for partition in self._reader().partitions()}
        return {partition: stored[partition] for partition in partitions if partition in stored}

    def set_positions(self, changes: Mapping[Partition, tuple[Position | None, Position]]) -> None:
        """Replace positions, if they are still those that were read."""
        with self._transaction() as db:
            for partition, (old, new) in sorted(changes.items()):
                values = (new.next_offset, new.epoch, new.cluster, *partition)
                if old is None:
                    result = db.execute(_INSERT_POSITION, values)
                else:
                    result = db.execute(_REPLACE_POSITION, (*values, old.next_offset))
                if result.rowcount != 1:
                    raise FencedError("another member has changed the position of a partition")

    def write(self, entry: JournalEntry) -> None:
        """Write an entry in one transaction."""
        self._in_doubt_id = None
        with self._transaction() as db:
            with db.pipeline():
                moved = db.execute(
                    _ADVANCE_POSITIONS, _columns([(*p, low, high) for p, (low, high) in entry.moves.items()], 4)
                )
                db.execute(_ADD_INGESTED, _columns([(*key, n) for key, n in entry.ingested.items()], 3))
                if entry.rejected:
                    db.execute(_ADD_REJECTED, _columns([(*key, n) for key, n in entry.rejected.items()], 3))
                current = db.execute("SELECT txid_current()")
            if moved.rowcount != len(entry.moves):
                raise FencedError("another member has counted events of these partitions")
            if entry.message_runs:
                _copy_messages(db, entry.message_runs)
            self._in_doubt_id = current.fetchall()[0][0]  # from here on the commit may happen without an answer
        self._in_doubt_id = None

    def reconnect(self) -> bool:
        """Connect again, and look up the transaction whose commit was not answered."""
        self.open()
        if self._in_doubt_id is None:
            return False
        db = self._open_db()
        with answer_deadline(db, self.name):
            (status,) = db.execute("SELECT txid_status(%s)", (self._in_doubt_id,)).fetchall()[0]
        if status == "in progress":
            raise JournalUnavailableError(f"{self.name}: the last transaction has not ended yet")
        self._in_doubt_id = None
        return bool(status == "committed")

    def prune(self, most: int) -> int:
        """Delete messages that are too old or too many, from no more than `most` ids."""
        with self._transaction() as db:
            for oldest, oldest_us, newest in db.execute(OLDEST).fetchall():
                bounds = self._limits.bounds(oldest=oldest, oldest_us=oldest_us, newest=newest, most=most)
                if bounds is not None:
                    limits = (bounds.step_end, bounds.surplus_end, bounds.delete_before_us)
                    return db.execute(_DELETE_MESSAGES, limits).rowcount
        return 0

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open_db(self) -> Connection:
        if self._db is None:
            raise JournalUnavailableError(f"{self.name} is not connected")
        return self._db

    def _reader(self) -> PostgresReader:
        return PostgresReader(self._open_db(), self.name)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Run one transaction. A deadlock with another member means that this one is fenced."""
        db = self._open_db()
        with answer_deadline(db, self.name):
            try:
                with db.transaction():
                    yield db
            except (errors.DeadlockDetected, errors.SerializationFailure):
                raise FencedError("another member changes the same partitions") from None

    def _migrate(self, db: Connection) -> None:
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        ((exists,),) = db.execute("SELECT to_regclass('crm_events_sink.journal') IS NOT NULL").fetchall()
        version = db.execute("SELECT schema_version FROM journal").fetchall()[0][0] if exists else 0
        if version > SCHEMA_VERSION:
            raise JournalUnusableError(
                f"SINK_JOURNAL: {self.name} has schema {version}, this sink knows {SCHEMA_VERSION}; start a newer sink"
            )
        for start in range(version, SCHEMA_VERSION):
            db.execute(_MIGRATIONS[start])
        if version < SCHEMA_VERSION:
            db.execute("UPDATE journal SET schema_version = %s", (SCHEMA_VERSION,))
        self._check_group(db)

    def _check_group(self, db: Connection) -> None:
        """Record the consumer group in a new journal. Another group has other offsets, and needs another journal."""
        db.execute("UPDATE journal SET consumer_group = %s WHERE consumer_group = ''", (self._group_id,))
        ((group,),) = db.execute("SELECT consumer_group FROM journal").fetchall()
        if group != self._group_id:
            raise JournalUnusableError(
                f"SINK_JOURNAL: {self.name} belongs to GROUP_ID {group}, not {self._group_id}; choose another database"
            )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _copy_messages(db: Connection, runs: Iterable[MessageRun]) -> None:
    now_us = time.time_ns() // 1000
    with db.cursor().copy(_COPY_MESSAGES) as copy:
        copy.set_types(_COPY_TYPES)
        for run in runs:
            for row in _rows(run, now_us):
                copy.write_row(row)


def _rows(run: MessageRun, now_us: int) -> Iterable[tuple[Any, ...]]:
    constants = map(repeat, (run.topic, run.partition, run.epoch))
    messages = (run.offsets, run.tenants, run.types, run.reasons, run.keys, run.values)
    return zip(*constants, *messages, repeat(now_us), strict=False)  # strict would refuse the endless columns
