"""Leads, jobs and the outbox of their events, in one SQLite file.

An entity and its event are written in one transaction. Every operation opens the file anew: a database that is taken
away fails the next request, one that comes back serves it. A crash of the process loses nothing; a power cut may.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LEADS_TOPIC = "apexflow.leads.created"
JOBS_TOPIC = "apexflow.jobs.created"
_LOCK_TIMEOUT_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS leads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant_id TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL,
    phone TEXT, source TEXT, status TEXT NOT NULL, assigned_to TEXT, tags TEXT NOT NULL, created_at TEXT NOT NULL,
    UNIQUE (tenant_id, email));
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant_id TEXT NOT NULL, lead_id INTEGER NOT NULL REFERENCES leads (id),
    title TEXT NOT NULL, status TEXT NOT NULL, description TEXT, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL);
"""

Entity = dict[str, Any]


class DuplicateEmailError(Exception):
    """A lead of this tenant has the e-mail already."""


class UnknownLeadError(Exception):
    """No lead of this tenant has the id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the outbox: an event that Kafka has not confirmed; `value` lacks only `published_at`."""

    row: int
    topic: str
    key: str
    value: Entity


class Store:
    """Every method raises sqlite3.Error when the database cannot be used."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`, and create it if there is none."""
        self._path = path
        self._lock = threading.Lock()
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_SCHEMA)

    def create_lead(self, tenant: str, lead: Mapping[str, Any]) -> Entity:
        """Store a lead and its event. Raises DuplicateEmailError."""
        row = {**lead, "tenant_id": tenant, "created_at": timestamp()}
        with self._transaction() as connection:
            try:
                number = _insert(connection, "leads", {**row, "tags": json.dumps(row["tags"])})
            except sqlite3.IntegrityError as error:
                raise DuplicateEmailError(lead["email"]) from error
            entity = _ordered(row | {"id": number}, "id tenant_id name email phone source status assigned_to tags")
            extra = {"event_version": 1, "actor": "api", "event_type": "lead.created"}
            _put_in_outbox(connection, LEADS_TOPIC, f"{tenant}:lead:{number}", entity | extra)
        return entity

    def create_job(self, tenant: str, job: Mapping[str, Any]) -> Entity:
        """Store a job and its event. Raises UnknownLeadError."""
        row = {**job, "tenant_id": tenant, "created_at": timestamp()}
        with self._transaction() as connection:
            wanted = (job["lead_id"], tenant)
            if not connection.execute("SELECT 1 FROM leads WHERE id = ? AND tenant_id = ?", wanted).fetchone():
                raise UnknownLeadError(job["lead_id"])
            number = _insert(connection, "jobs", row)
            entity = _ordered(row | {"id": number}, "id tenant_id lead_id title status description")
            _put_in_outbox(connection, JOBS_TOPIC, f"{tenant}:job:{number}", entity | {"event_type": "job.created"})
        return entity

    def leads(self, tenant: str, limit: int) -> list[Entity]:
        """Return the tenant's newest leads, newest first."""
        statement = "SELECT * FROM leads WHERE tenant_id = ? ORDER BY id DESC LIMIT ?"
        with self._transaction() as connection:
            rows = connection.execute(statement, (tenant, limit)).fetchall()
        return [{**dict(row), "tags": json.loads(row["tags"])} for row in rows]

    def unsent(self, limit: int) -> list[Event]:
        """Return the oldest events that Kafka has not confirmed, in the order of their transactions."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT * FROM outbox ORDER BY id LIMIT ?", (limit,)).fetchall()
        return [
            Event(row=row["id"], topic=row["topic"], key=row["key"], value=json.loads(row["value"])) for row in rows
        ]

    def forget(self, rows: list[int]) -> None:
        """Take confirmed events out of the outbox."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM outbox WHERE id = ?", [(row,) for row in rows])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit at the end, roll back on any exception; one at a time, which SQLite would make them wait for."""
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        with self._lock, closing(sqlite3.connect(address, uri=True, timeout=_LOCK_TIMEOUT_S)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = OFF")
            with connection:
                yield connection


def timestamp() -> str:
    """Return the time in ISO 8601, UTC, without an offset, as ApexFlow writes it."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
    cursor = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", dict(row))  # noqa: S608 - names are constants of this package
    if cursor.lastrowid is None:
        raise sqlite3.DatabaseError(f"no row id after an insert into {table}")
    return cursor.lastrowid


def _put_in_outbox(connection: sqlite3.Connection, topic: str, key: str, value: Entity) -> None:
    _insert(connection, "outbox", {"topic": topic, "key": key, "value": json.dumps(value, ensure_ascii=False)})


def _ordered(row: Entity, names: str) -> Entity:
    """Return `row` in the API's order of fields, which ends with created_at."""
    return {name: row[name] for name in (*names.split(), "created_at")}
