"""The journal in one SQLite file, for one sink process.

WAL with synchronous=NORMAL: a killed process loses nothing. A machine that loses power may lose the last transactions,
and then counts and positions are older *together*: what is missing is read from Kafka again. Readers never block the
writer. The file must lie on a local disk: WAL does not work over a network (sqlite.org/wal.html).
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from sink.journal.checkpoints import MOST_LOG_BYTES, Checkpoints
from sink.journal.model import (
    Entry,
    JournalAwayError,
    JournalRefusedError,
    OvertakenError,
    Partition,
    Position,
    Totals,
)
from sink.journal.retention import Limits
from sink.journal.sqlite_reader import SqliteReader, connected
from sink.journal.sqlite_schema import migrate
from sink.journal.sqlite_stretches import stretch_rows

_KNOWN_IDS: Final = 100_000  # of counts, held in memory: some 20 MB
_COUNTS_LOG_BYTES: Final = 16 * 1024 * 1024  # of the write-ahead log without messages, between two checkpoints
# Of a new file. A transaction writes whole pages: a few small ones for counts, and for messages as many as they fill,
# where large ones take a third less of the time of a commit.
_PAGE_BYTES: Final = {"counts": 4096, "messages": 32_768}

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
            migrate(self._db, self._path)
            self._claim(self._db)
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
                db.executemany(_KEEP, stretch_rows(entry.stretches, next_id))

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
