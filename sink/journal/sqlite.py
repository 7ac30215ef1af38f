"""The journal in one SQLite file, for one sink process.

WAL with synchronous=NORMAL: a killed process loses nothing. A machine that loses power may lose the last transactions;
then counts and positions are older *together*, and the missing messages are read from Kafka again. Readers never block
the writer. The file must be on a local disk: WAL does not work over a network (sqlite.org/wal.html).
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from sink.journal.checkpoints import MAX_WAL_BYTES, CheckpointThread
from sink.journal.model import (
    FencedError,
    JournalEntry,
    JournalUnavailableError,
    JournalUnusableError,
    Partition,
    Position,
    Totals,
)
from sink.journal.retention import RetentionLimits
from sink.journal.sqlite_message_runs import message_run_rows
from sink.journal.sqlite_reader import SqliteReader, connected
from sink.journal.sqlite_schema import migrate
from sink.platforms import acquired_lock

_MAX_CACHED_IDS: Final = 100_000  # of counts: some 20 MB
_COUNTS_WAL_BYTES: Final = 16 * 1024 * 1024  # without messages: written to the WAL between two checkpoints
# Of a new file. A transaction writes whole pages: few for counts, so they are small; many for messages, where large
# pages make a commit a third faster.
_PAGE_BYTES: Final = {"counts": 4096, "messages": 32_768}

_ADVANCE_POSITION: Final = (
    'UPDATE position SET next = ?, passed = passed + ? WHERE topic = ? AND "partition" = ? AND next = ?'
)
_INSERT_POSITION: Final = """
INSERT INTO position (next, epoch, cluster, topic, "partition") VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_REPLACE_POSITION: Final = """
UPDATE position SET next = ?, epoch = ?, cluster = ? WHERE topic = ? AND "partition" = ? AND next = ?"""
_SELECT_COUNT_ID: Final = "SELECT id FROM ingested WHERE tenant_id = ? AND topic = ?"
_INSERT_COUNT: Final = "INSERT INTO ingested (tenant_id, topic, events) VALUES (?, ?, 0)"
_ADD_INGESTED: Final = "UPDATE ingested SET events = events + ? WHERE id = ?"  # twice as fast as by tenant and topic
_ADD_REJECTED: Final = """
INSERT INTO rejected (topic, reason, messages) VALUES (?, ?, ?)
ON CONFLICT (topic, reason) DO UPDATE SET messages = messages + excluded.messages"""
_NEXT_ID: Final = "SELECT coalesce(max(id) + (SELECT messages FROM stretch ORDER BY id DESC LIMIT 1), 1) FROM stretch"
_INSERT_RUN: Final = "INSERT INTO stretch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OLDEST: Final = """
SELECT id, received_us, (SELECT id + messages - 1 FROM stretch ORDER BY id DESC LIMIT 1)
FROM stretch ORDER BY id LIMIT 1"""
# Whole message runs, and never the newest: SQLite would give its id to another one.
_DELETE_RUNS: Final = """
DELETE FROM stretch
WHERE id < ? AND (id + messages <= ? OR received_us < ?) AND id < (SELECT max(id) FROM stretch) RETURNING messages"""


class SqliteJournal:
    """The file. One process at a time may write it."""

    restores_totals = True

    def __init__(self, path: Path, *, group_id: str, stores_messages: bool, limits: RetentionLimits) -> None:
        self.name = f"sqlite:{path}"
        self.stores_messages = stores_messages
        self._path = path
        self._group_id = group_id
        self._limits = limits
        self._lock: int | None = None
        self._db: sqlite3.Connection | None = None
        self._checkpoints: CheckpointThread | None = None
        self._count_ids: dict[tuple[str, str], int] = {}  # by tenant and topic
        self._in_doubt: JournalEntry | None = None  # its commit was not answered

    def open(self) -> None:
        """Lock the file, and migrate its schema. Raises JournalUnusableError, JournalUnavailableError."""
        self._lock = self._lock or self._acquired_lock()
        try:
            self._db = connected(self._path)
            new_page_bytes = _PAGE_BYTES["messages" if self.stores_messages else "counts"]
            self._db.executescript(
                f"PRAGMA page_size={new_page_bytes}; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"
            )
            (page_bytes,) = self._db.execute("PRAGMA page_size").fetchone()
            self._db.execute(f"PRAGMA wal_autocheckpoint={_COUNTS_WAL_BYTES // page_bytes}")
            migrate(self._db, self._path)
            self._check_group(self._db)
            if self.stores_messages:
                self._db.executescript(f"PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit={MAX_WAL_BYTES}")
                self._checkpoints = CheckpointThread(self._path)
        except sqlite3.Error as error:
            self._close_db()
            raise JournalUnavailableError(f"{self.name}: {error}") from None

    def totals(self) -> Totals:
        """Return everything counted."""
        with closing(SqliteReader(self._path)) as reader:
            return reader.totals()

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, Position]:
        """Return the positions that are stored."""
        with closing(SqliteReader(self._path)) as reader:
            stored = {partition.key: partition.position for partition in reader.partitions()}
        return {partition: stored[partition] for partition in partitions if partition in stored}

    def set_positions(self, changes: Mapping[Partition, tuple[Position | None, Position]]) -> None:
        """Replace positions, if they are still those that were read."""

        def change(db: sqlite3.Connection) -> None:
            for partition, (old, new) in changes.items():
                values = (new.next_offset, new.epoch, new.cluster, *partition)
                if old is None:
                    result = db.execute(_INSERT_POSITION, values)
                else:
                    result = db.execute(_REPLACE_POSITION, (*values, old.next_offset))
                if result.rowcount != 1:
                    raise FencedError(f"{self.name} was written by another process")

        if changes:
            self._in_transaction(change)

    def write(self, entry: JournalEntry) -> None:
        """Write an entry in one transaction."""

        def change(db: sqlite3.Connection) -> None:
            moves = [(high, high - low, *partition, low) for partition, (low, high) in entry.moves.items()]
            if db.executemany(_ADVANCE_POSITION, moves).rowcount != len(moves):
                raise FencedError(f"{self.name} was written by another process")
            counts = [(count, self._count_id(db, key)) for key, count in entry.ingested.items()]
            db.executemany(_ADD_INGESTED, counts)
            if entry.rejected:
                db.executemany(_ADD_REJECTED, [(*key, count) for key, count in entry.rejected.items()])
            if entry.message_runs:
                ((next_id,),) = db.execute(_NEXT_ID).fetchall()
                db.executemany(_INSERT_RUN, message_run_rows(entry.message_runs, next_id))

        self._in_doubt = None
        try:
            self._in_transaction(change)
        except JournalUnavailableError:
            self._in_doubt = entry
            raise
        if self._checkpoints is not None:
            self._checkpoints.note_commit(sum(run.value_bytes() for run in entry.message_runs))

    def reconnect(self) -> bool:
        """Open the file again. Only this process writes it, so the positions tell whether the entry is committed."""
        self._close_db()
        self.open()
        entry, self._in_doubt = self._in_doubt, None
        if entry is None:
            return False
        stored = self.positions(entry.moves)
        return all(stored[partition].next_offset == high for partition, (_, high) in entry.moves.items())

    def prune(self, most: int) -> int:
        """Delete messages that are too old or too many: the message runs that start within the `most` oldest ids."""
        deleted = 0

        def change(db: sqlite3.Connection) -> None:
            nonlocal deleted
            for oldest, oldest_us, newest in db.execute(_OLDEST).fetchall():
                bounds = self._limits.bounds(oldest=oldest, oldest_us=oldest_us, newest=newest, most=most)
                if bounds is not None:
                    limits = (bounds.step_end, bounds.surplus_end, bounds.delete_before_us)
                    deleted = sum(messages for (messages,) in db.execute(_DELETE_RUNS, limits))

        self._in_transaction(change)
        return deleted

    def close(self) -> None:
        """Close the file, and release its lock."""
        self._close_db()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _close_db(self) -> None:
        """Close the connection, and hold the lock."""
        if self._checkpoints is not None:
            self._checkpoints.close()
            self._checkpoints = None
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise JournalUnavailableError(f"{self.name} is not open")
        return self._db

    def _in_transaction(self, change: Callable[[sqlite3.Connection], object]) -> None:
        db = self._open_db()
        try:
            db.execute("BEGIN IMMEDIATE")
            change(db)
            db.execute("COMMIT")
        except FencedError:  # raised before any count has changed
            db.execute("ROLLBACK")
            raise
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            self._count_ids.clear()  # some may be ids of counts that were rolled back
            raise JournalUnavailableError(f"{self.name}: {error}") from None

    def _acquired_lock(self) -> int:
        """Lock out other sinks: two of them would continue from the same totals. When a process ends, the lock ends.

        The lock is on a file of its own: closing any other handle of the database would drop SQLite's own locks
        (sqlite.org/howtocorrupt.html, 2.2).
        """
        path = self._path.with_name(self._path.name + ".lock")
        try:
            lock = acquired_lock(path)
        except OSError as error:
            raise JournalUnusableError(f"SINK_JOURNAL: cannot write {path}: {error.strerror}") from None
        if lock is None:
            raise JournalUnusableError(
                f"SINK_JOURNAL: another sink uses {self._path}; several sinks share a postgresql:// journal"
            )
        return lock

    def _count_id(self, db: sqlite3.Connection, key: tuple[str, str]) -> int:
        """Return the id of a tenant's count in a topic; a new count is inserted at 0."""
        known = self._count_ids.get(key)
        if known is None:
            if len(self._count_ids) >= _MAX_CACHED_IDS:
                self._count_ids.clear()
            found = db.execute(_SELECT_COUNT_ID, key).fetchone()
            known = self._count_ids[key] = found[0] if found else db.execute(_INSERT_COUNT, key).lastrowid or 0
        return known

    def _check_group(self, db: sqlite3.Connection) -> None:
        """Record the consumer group in a new journal. Another group has other offsets, and needs another journal."""
        db.execute("INSERT INTO journal SELECT ? WHERE NOT EXISTS (SELECT * FROM journal)", (self._group_id,))
        (group,) = db.execute("SELECT consumer_group FROM journal").fetchone()
        if group != self._group_id:
            raise JournalUnusableError(
                f"SINK_JOURNAL: {self._path} belongs to GROUP_ID {group}, not {self._group_id}; choose another file"
            )
