"""How the sink connects to the PostgreSQL journal, and reads it."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sink.environment import SettingsError
from sink.journal.model import JournalUnavailableError
from sink.journal.reader import JournalReader

ANSWER_S: Final = 5.0  # for one transaction; Kafka's group keeps a member that does not poll for five minutes

_CONNECT_S: Final = 3
# An open transaction of a sink that was killed holds its locks, and stays in doubt, no longer than this.
_SESSION: Final = """
SET search_path TO crm_events_sink;
SET statement_timeout = '4s';
SET idle_in_transaction_session_timeout = '5s'"""

Connection = psycopg.Connection[tuple[Any, ...]]


def redacted_address(dsn: str) -> str:
    """Return the address without user and password. Raises SettingsError, without the address, if libpq refuses it."""
    try:
        fields = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise SettingsError(
            "SINK_JOURNAL or POSTGRES_DSN is not an address that libpq can read; it must be like postgresql://USER@HOST/NAME"
        ) from None
    return f"postgresql://{fields.get('host', '')}:{fields.get('port', 5432)}/{fields.get('dbname', '')}"


def connected(dsn: str, name: str) -> Connection:
    """Connect in autocommit mode. Raises JournalUnavailableError."""
    try:
        db = psycopg.connect(
            dsn, autocommit=True, connect_timeout=_CONNECT_S, application_name="crm-events-sink", prepare_threshold=2
        )
        with answer_deadline(db, name):
            db.execute(_SESSION)
    except psycopg.Error as error:
        raise unavailable(name, error) from None
    return db


@contextmanager
def answer_deadline(db: Connection, name: str) -> Iterator[None]:
    """Raise JournalUnavailableError for every error, and when the server does not answer within ANSWER_S.

    libpq waits for ever for a server that hangs; only closing the connection ends that.
    """

    def disconnect() -> None:
        with socket.socket(fileno=os.dup(db.fileno())) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(ANSWER_S, disconnect)
    try:
        db.fileno()  # raises OperationalError if it is closed
        timer.start()
        yield
    except psycopg.Error as error:
        raise unavailable(name, error) from None
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()


def unavailable(name: str, error: psycopg.Error) -> JournalUnavailableError:
    """Return the error with the journal's name and the first line from the server or libpq; neither has a password."""
    lines = str(error).strip().splitlines()
    return JournalUnavailableError(f"{name}: {lines[0] if lines else type(error).__name__}")


class PostgresReader(JournalReader):
    """Reads over a connection."""

    def __init__(self, db: Connection, name: str) -> None:
        self._db = db
        self._name = name

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        # Every query is one of JournalReader's; none of them has a percent sign.
        text: LiteralString = query.replace("?", "%s")
        with answer_deadline(self._db, self._name):
            return self._db.execute(text, values).fetchall()


def postgres_reader(dsn: str) -> PostgresReader:
    """Connect, and begin a snapshot. Raises JournalUnavailableError."""
    name = redacted_address(dsn)
    db = connected(dsn, name)
    with answer_deadline(db, name):
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return PostgresReader(db, name)
