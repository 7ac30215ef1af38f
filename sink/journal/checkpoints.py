"""Copying SQLite's write-ahead log into the database, beside the loop."""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from sink.journal.sqlite_reader import connected

EVERY_BYTES: Final = 8 * 1024 * 1024
"""About how many bytes are written to the log between two checkpoints."""
MOST_LOG_BYTES: Final = 256 * 1024 * 1024
"""From this size of the log on, the loop waits for a checkpoint."""

# A transaction writes whole pages: for ten small messages four of 32 KB, of positions, counts and indexes (measured).
_PAGES_BYTES: Final = 128 * 1024


class Checkpoints:
    """A thread that makes the checkpoints, so that the loop need not wait until pages are copied and on the disk.

    SQLite would make them within a commit (sqlite.org/wal.html): a fifth of the time of a sink that keeps messages. But
    a log that grows while it is copied is never begun anew. So the loop makes one itself when the log has become too
    long; most of it is copied by then. What fails here stays in the log, and a commit that fails for the same reason
    says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._written = 0
        self._making = threading.Lock()
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def committed(self, size: int) -> None:
        """Note a transaction with so many bytes of messages, and wait if the log is too long."""
        self._written += size + _PAGES_BYTES
        if self._log_bytes() > MOST_LOG_BYTES:
            self._make()
        elif self._written >= EVERY_BYTES:
            self._due.set()
        else:
            return
        self._written = 0

    def close(self) -> None:
        """End the thread, after the checkpoint that it is at."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:  # somebody has removed it: SQLite goes on in the file that it holds open
            return 0

    def _run(self) -> None:
        while self._due.wait() and not self._closed:
            self._due.clear()
            self._make()

    def _make(self) -> None:
        with self._making, suppress(sqlite3.Error), closing(connected(self._path, mode="rw")) as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
