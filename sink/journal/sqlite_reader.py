"""How the SQLite journal is opened, and read."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sink.journal.model import JournalUnavailableError
from sink.journal.reader import JournalReader, StoredMessage

APPLICATION_ID: Final = 0x43524D45  # "CRME", in the file's header (sqlite.org/fileformat.html)

_RUNS_WITH_EVENTS: Final = "SELECT id FROM stretch WHERE rejected < messages ORDER BY id DESC LIMIT ?"
_RUNS_WITH_REJECTED: Final = "SELECT id FROM stretch WHERE rejected > 0 ORDER BY id DESC LIMIT ?"
_BUSY_TIMEOUT_S: Final = 2.0  # how long to wait for another writer, for example a person with the sqlite3 shell


def connected(path: Path, *, mode: str = "rwc") -> sqlite3.Connection:
    """Open the file; `mode` is that of SQLite's URIs. Transactions are begun and ended explicitly."""
    address = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


class SqliteReader(JournalReader):
    """Reads the file, and does not block its writer. Raises JournalUnavailableError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = connected(path, mode="ro")
            self._db.execute("BEGIN")
        except sqlite3.Error as error:
            raise JournalUnavailableError(f"sqlite:{path}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def messages_by_topic(self) -> dict[str, int]:
        """Return how many messages are stored, by topic."""
        return dict(self._all("SELECT topic, sum(messages) FROM stretch GROUP BY topic ORDER BY topic"))

    def latest(self, limit: int, *, rejected: bool) -> list[StoredMessage]:
        """Return the newest events, or the newest rejected messages, newest first."""
        found: list[StoredMessage] = []
        for (run_id,) in self._all(_RUNS_WITH_REJECTED if rejected else _RUNS_WITH_EVENTS, limit):
            found += reversed([m for m in self._message_run(run_id) if (m.reason is not None) == rejected])
            if len(found) >= limit:
                break
        return found[:limit]

    def message(self, number: int) -> StoredMessage | None:
        """Return the message with that id."""
        ((run_id,),) = self._all("SELECT max(id) FROM stretch WHERE id <= ?", number)
        return next((message for message in self._message_run(run_id) if message.id == number), None)

    def messages(self) -> Iterator[StoredMessage]:
        """Return all messages, oldest first, one message run after the other."""
        for (run_id,) in self._all("SELECT id FROM stretch ORDER BY id"):
            yield from self._message_run(run_id)

    def _message_run(self, run_id: int | None) -> list[StoredMessage]:
        """Return the messages of one run. The view is a join: with any other condition SQLite reads all of it."""
        return self._select("WHERE stretch_id = ?", run_id)

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise JournalUnavailableError(f"sqlite:{self._path}: {error}") from None
