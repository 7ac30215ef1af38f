"""Leads, jobs and the outbox of their events, in one database.

An entity and its event are written in one transaction.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runbook.local_stack.fakes.apexflow.database import Database, DuplicateError, Transaction

LEADS_TOPIC = "apexflow.leads.created"
JOBS_TOPIC = "apexflow.jobs.created"
_LARGEST_ID = 2**63 - 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS leads (
    id {id}, tenant_id TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL,
    phone TEXT, source TEXT, status TEXT NOT NULL, assigned_to TEXT, tags TEXT NOT NULL, created_at TEXT NOT NULL,
    UNIQUE (tenant_id, email));
CREATE TABLE IF NOT EXISTS jobs (
    id {id}, tenant_id TEXT NOT NULL, lead_id BIGINT NOT NULL REFERENCES leads (id),
    title TEXT NOT NULL, status TEXT NOT NULL, description TEXT, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    id {id}, topic TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL);
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
    """Every method raises DatabaseError when the database cannot be used."""

    def __init__(self, database: Database) -> None:
        """Create the tables that are not there."""
        self._database = database
        with database.transaction() as transaction:
            for statement in _SCHEMA.format(id=database.counted_id).split(";\n"):
                if statement:
                    transaction.rows(statement)

    def create_lead(self, tenant: str, lead: Mapping[str, Any]) -> Entity:
        """Store a lead and its event. Raises DuplicateEmailError."""
        row = {**lead, "tenant_id": tenant, "created_at": timestamp()}
        try:
            with self._database.transaction() as transaction:
                number = transaction.insert("leads", {**row, "tags": json.dumps(row["tags"])})
                entity = _ordered(row | {"id": number}, "id tenant_id name email phone source status assigned_to tags")
                extra = {"event_version": 1, "actor": "api", "event_type": "lead.created"}
                _put_in_outbox(transaction, LEADS_TOPIC, f"{tenant}:lead:{number}", entity | extra)
        except DuplicateError as error:
            raise DuplicateEmailError(lead["email"]) from error
        return entity

    def create_job(self, tenant: str, job: Mapping[str, Any]) -> Entity:
        """Store a job and its event. Raises UnknownLeadError."""
        row = {**job, "tenant_id": tenant, "created_at": timestamp()}
        wanted = job["lead_id"]
        known = "SELECT id FROM leads WHERE id = ? AND tenant_id = ?"
        with self._database.transaction() as transaction:
            if abs(wanted) > _LARGEST_ID or not transaction.rows(known, wanted, tenant):
                raise UnknownLeadError(wanted)
            number = transaction.insert("jobs", row)
            entity = _ordered(row | {"id": number}, "id tenant_id lead_id title status description")
            _put_in_outbox(transaction, JOBS_TOPIC, f"{tenant}:job:{number}", entity | {"event_type": "job.created"})
        return entity

    def leads(self, tenant: str, limit: int) -> list[Entity]:
        """Return the tenant's newest leads, newest first."""
        statement = "SELECT * FROM leads WHERE tenant_id = ? ORDER BY id DESC LIMIT ?"
        with self._database.transaction() as transaction:
            rows = transaction.rows(statement, tenant, limit)
        return [{**row, "tags": json.loads(row["tags"])} for row in rows]

    def unsent(self, limit: int) -> list[Event]:
        """Return the oldest events that Kafka has not confirmed, in the order of their transactions."""
        with self._database.transaction() as transaction:
            rows = transaction.rows("SELECT * FROM outbox ORDER BY id LIMIT ?", limit)
        return [
            Event(row=row["id"], topic=row["topic"], key=row["key"], value=json.loads(row["value"])) for row in rows
        ]

    def forget(self, rows: list[int]) -> None:
        """Take confirmed events out of the outbox."""
        with self._database.transaction() as transaction:
            for row in rows:
                transaction.rows("DELETE FROM outbox WHERE id = ?", row)


def timestamp() -> str:
    """Return the time in ISO 8601, UTC, without an offset, as ApexFlow writes it."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


def _put_in_outbox(transaction: Transaction, topic: str, key: str, value: Entity) -> None:
    transaction.insert("outbox", {"topic": topic, "key": key, "value": json.dumps(value, ensure_ascii=False)})


def _ordered(row: Entity, names: str) -> Entity:
    """Return `row` in the API's order of fields, which ends with created_at."""
    return {name: row[name] for name in (*names.split(), "created_at")}
