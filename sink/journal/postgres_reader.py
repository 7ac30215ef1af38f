"""How the PostgreSQL journal is connected to, and read."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sink.environment import SettingsError
from sink.journal.model import JournalAwayError
from sink.journal.reading import Reader

ANSWER_S: Final = 5.0  # for one transaction; Kafka's group waits up to five minutes for a member that does not poll

_CONNECT_S: Final = 3
# An open transaction of a sink that is gone holds its locks, and our doubt about it, no longer than this.
_SESSION: Final = """
SET search_path TO crm_events_sink;
SET statement_timeout = '4s';
SET idle_in_transaction_session_timeout = '5s'"""

Connection = psycopg.Connection[tuple[Any, ...]]


def shown_name(dsn: str) -> str:
    """Return the address without user and password. Raises SettingsError if it is none, and does not show it."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise SettingsError(
            "SINK_JOURNAL or POSTGRES_DSN is not an address that libpq reads; allowed is postgresql://USER@HOST/NAME"
        ) from None
    return f"postgresql://{parts.get('host', '')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def connected(dsn: str, name: str) -> Connection:
    """Connect, each statement its own transaction. Raises JournalAwayError."""
    try:
        db = psycopg.connect(
            dsn, autocommit=True, connect_timeout=_CONNECT_S, application_name="crm-events-sink", prepare_threshold=2
        )
        with answering(db, name):
            db.execute(_SESSION)
    except psycopg.Error as error:
        raise away(name, error) from None
    return db


@contextmanager
def answering(db: Connection, name: str) -> Iterator[None]:
    """Turn errors into JournalAwayError, also a server that is frozen: libpq would wait for its answer for ever.

    Cutting the connection is what ends libpq's wait.
    """

    def cut() -> None:
        with socket.socket(fileno=os.dup(db.fileno())) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(ANSWER_S, cut)
    try:
        db.fileno()  # an OperationalError if it is closed
        timer.start()
        yield
    except psycopg.Error as error:
        raise away(name, error) from None
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()


def away(name: str, error: psycopg.Error) -> JournalAwayError:
    """Name the journal, and quote the first line of what the server or libpq says; neither shows a password."""
    said = str(error).strip().splitlines()
    return JournalAwayError(f"{name}: {said[0] if said else type(error).__name__}")


class PostgresReader(Reader):
    """Reads over a connection."""

    def __init__(self, db: Connection, name: str) -> None:
        self._db = db
        self._name = name

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        # Every query is one of the constants in Reader, none of which holds a percent sign.
        text: LiteralString = query.replace("?", "%s")
        with answering(self._db, self._name):
            return self._db.execute(text, values).fetchall()


def postgres_reader(dsn: str) -> PostgresReader:
    """Connect to read what is there at one moment. Raises JournalAwayError."""
    name = shown_name(dsn)
    db = connected(dsn, name)
    with answering(db, name):
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return PostgresReader(db, name)
