"""How the SQLite journal is opened, and read."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sink.journal.model import JournalAwayError
from sink.journal.reading import Kept, Reader

APPLICATION_ID: Final = 0x43524D45  # "CRME", in the file's header (sqlite.org/fileformat.html)

_WITH_EVENTS: Final = "SELECT id FROM stretch WHERE rejected < messages ORDER BY id DESC LIMIT ?"
_WITH_REJECTED: Final = "SELECT id FROM stretch WHERE rejected > 0 ORDER BY id DESC LIMIT ?"
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

    def kept_by_topic(self) -> dict[str, int]:
        """Return how many messages are kept."""
        return dict(self._all("SELECT topic, sum(messages) FROM stretch GROUP BY topic ORDER BY topic"))

    def latest(self, limit: int, *, rejected: bool) -> list[Kept]:
        """Return the newest events, or the newest rejected messages, newest first."""
        found: list[Kept] = []
        for (stretch,) in self._all(_WITH_REJECTED if rejected else _WITH_EVENTS, limit):
            found += reversed([kept for kept in self._stretch(stretch) if (kept.reason is not None) == rejected])
            if len(found) >= limit:
                break
        return found[:limit]

    def message(self, number: int) -> Kept | None:
        """Return one message by its id."""
        ((stretch,),) = self._all("SELECT max(id) FROM stretch WHERE id <= ?", number)
        return next((kept for kept in self._stretch(stretch) if kept.id == number), None)

    def messages(self) -> Iterator[Kept]:
        """Return all messages, oldest first, read as they are needed."""
        for (stretch,) in self._all("SELECT id FROM stretch ORDER BY id"):
            yield from self._stretch(stretch)

    def _stretch(self, number: int | None) -> list[Kept]:
        """Return the messages of one stretch. To SQLite the view is a join: any other condition reads all of it."""
        return self._kept("WHERE stretch_id = ?", number)

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise JournalAwayError(f"sqlite:{self._path}: {error}") from None
