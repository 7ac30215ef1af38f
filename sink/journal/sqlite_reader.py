"""How the SQLite journal is opened, and read."""

import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sink.journal.model import JournalAwayError
from sink.journal.reading import Reader

APPLICATION_ID: Final = 0x43524D45  # "CRME", in the file's header (sqlite.org/fileformat.html)

_BUSY_S: Final = 2.0  # how long another writer, say a person with the sqlite3 shell, may hold us up


def connected(path: Path, *, mode: str = "rwc") -> sqlite3.Connection:
    """Open the file; `mode` is that of SQLite's URIs. Transactions are begun and ended by hand."""
    address = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


class SqliteReader(Reader):
    """Reads the file; a writer is not held up. Raises JournalAwayError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = connected(path, mode="ro")
            self._db.execute("BEGIN")
        except sqlite3.Error as error:
            raise JournalAwayError(f"sqlite:{path}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise JournalAwayError(f"sqlite:{self._path}: {error}") from None
