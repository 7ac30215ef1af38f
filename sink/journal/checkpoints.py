"""Copying SQLite's write-ahead log into the database, beside the loop."""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from sink.journal.sqlite_reader import connected

LOG_BYTES: Final = 16 * 1024 * 1024
"""How much is written between two checkpoints."""
MOST_LOG_BYTES: Final = 4 * LOG_BYTES
"""From this size of the log on, a commit makes a checkpoint itself."""


class Checkpoints:
    """A thread that makes the checkpoints, so that no commit waits until pages are copied and on the disk.

    SQLite would make them within a commit (sqlite.org/wal.html): a fifth of the time of a sink that keeps messages. A
    log that grows while it is copied is never begun anew. So commits still make checkpoints, of a log that has grown
    to `MOST_LOG_BYTES`; most of it is copied by then.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def written(self, size: int) -> None:
        """Note that so many bytes were committed."""
        self._written += size
        if self._written >= LOG_BYTES:
            self._written = 0
            self._due.set()

    def close(self) -> None:
        """End the thread, after the checkpoint that it is at."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while self._due.wait() and not self._closed:
            self._due.clear()
            # What fails here is in the log still, and a commit that fails for the same reason says so.
            with suppress(sqlite3.Error), closing(connected(self._path, mode="rw")) as db:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
