"""Copying SQLite's write-ahead log (WAL) into the database file, beside the poll loop."""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from sink.journal.sqlite_reader import connected

CHECKPOINT_EVERY_BYTES: Final = 8 * 1024 * 1024
"""About how many bytes are written to the WAL between two checkpoints."""
MAX_WAL_BYTES: Final = 256 * 1024 * 1024
"""When the WAL is longer than this, the loop waits for a checkpoint."""

# A transaction writes whole pages: for ten small messages four of 32 KB, with positions, counts, indexes (measured).
_OVERHEAD_BYTES: Final = 128 * 1024


class CheckpointThread:
    """Makes the checkpoints, so that the loop need not wait until pages are copied and written to the disk.

    By default SQLite makes them within a commit (sqlite.org/wal.html): a fifth of the time of a sink that stores
    messages. But SQLite cannot start the WAL over while it is written to during the copy. So the loop makes a
    checkpoint itself when the WAL has become too long; most of it is copied by then. A checkpoint that fails leaves
    its pages in the WAL, and a commit that fails for the same reason reports it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal_path = path.with_name(path.name + "-wal")
        self._written_bytes = 0
        self._one_at_a_time = threading.Lock()
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def note_commit(self, value_bytes: int) -> None:
        """Note a transaction with so many bytes of messages, and wait if the WAL is too long."""
        self._written_bytes += value_bytes + _OVERHEAD_BYTES
        if self._wal_bytes() > MAX_WAL_BYTES:
            self._checkpoint()
        elif self._written_bytes >= CHECKPOINT_EVERY_BYTES:
            self._due.set()
        else:
            return
        self._written_bytes = 0

    def close(self) -> None:
        """End the thread, after the checkpoint that it is making."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _wal_bytes(self) -> int:
        try:
            return self._wal_path.stat().st_size
        except FileNotFoundError:  # somebody has removed it: SQLite goes on in the file that it holds open
            return 0

    def _run(self) -> None:
        while self._due.wait() and not self._closed:
            self._due.clear()
            self._checkpoint()

    def _checkpoint(self) -> None:
        with self._one_at_a_time, suppress(sqlite3.Error), closing(connected(self._path, mode="rw")) as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
