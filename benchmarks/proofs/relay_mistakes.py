"""Mistakes of ApexFlow: an event that is never produced, or produced twice, by triggers on its outbox."""

import sqlite3
from contextlib import closing
from typing import Any

import psycopg

from runbook.local_stack.layout import Layout
from runbook.local_stack.postgres import APEXFLOW, ROLE

_TABLES = {"lead": "leads", "job": "jobs"}
_TENANT = "acme"
_DROP_SQLITE = "DROP TRIGGER IF EXISTS mistake"
_DROP_POSTGRES = "DROP TRIGGER IF EXISTS mistake ON outbox"
_COPY = "INSERT INTO outbox (topic, key, value) VALUES (NEW.topic, NEW.key, NEW.value);"
_DELETE = "DELETE FROM outbox WHERE id = NEW.id;"


class RelayMistakes:
    """The outbox in SQLite, or in PostgreSQL at a port; a trigger is part of the transaction that inserts."""

    def __init__(self, layout: Layout, port: int | None) -> None:
        """Take the stack's files; `port` is PostgreSQL's."""
        self._layout = layout
        self._port = port

    def next_id(self, kind: str) -> int:
        """Return the id that the next lead or job gets."""
        [[highest]] = self._rows(f"SELECT COALESCE(MAX(id), 0) FROM {_TABLES[kind]}")  # noqa: S608 - our own names
        return int(highest) + 1

    def lose(self, kind: str, number: int) -> None:
        """Let the event of this entity vanish from the outbox before it is sent."""
        self._on_insert(kind, number, _DELETE)

    def double(self, kind: str, number: int) -> None:
        """Put the event of this entity into the outbox twice."""
        self._on_insert(kind, number, _COPY)

    def mend(self) -> None:
        """Take the mistake back."""
        self._rows(_DROP_SQLITE if self._port is None else _DROP_POSTGRES)

    def _on_insert(self, kind: str, number: int, action: str) -> None:
        key = f"{_TENANT}:{kind}:{number}"
        if self._port is None:
            self._rows(f"CREATE TRIGGER mistake AFTER INSERT ON outbox WHEN NEW.key = '{key}' BEGIN {action} END")
            return
        self._rows(
            "CREATE OR REPLACE FUNCTION mistake() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {action} RETURN NULL; END $$"
        )
        self._rows(
            f"CREATE TRIGGER mistake AFTER INSERT ON outbox FOR EACH ROW WHEN (NEW.key = '{key}' "
            "AND pg_trigger_depth() = 0) EXECUTE FUNCTION mistake()"
        )

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        if self._port is None:
            with closing(sqlite3.connect(self._layout.data / "apexflow.sqlite", timeout=10)) as database, database:
                return database.execute(statement).fetchall()
        return self._postgres_rows(statement, self._port)

    def _postgres_rows(self, statement: str, port: int) -> list[tuple[Any, ...]]:
        password = self._layout.database_password.read_text("ascii").strip()
        address = f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{APEXFLOW}"
        with psycopg.connect(address) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []
