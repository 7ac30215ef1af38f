"""The tables of the SQLite journal, and their migrations."""

import sqlite3
from pathlib import Path
from typing import Final

from sink.journal.model import JournalUnusableError
from sink.journal.sqlite_reader import APPLICATION_ID

_SCHEMA_1: Final = """
CREATE TABLE journal (consumer_group TEXT NOT NULL);
CREATE TABLE position (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, epoch INTEGER NOT NULL,
    cluster TEXT NOT NULL, passed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE ingested (
    id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, topic TEXT NOT NULL, events INTEGER NOT NULL,
    UNIQUE (tenant_id, topic));
CREATE TABLE rejected (
    topic TEXT NOT NULL, reason TEXT NOT NULL, messages INTEGER NOT NULL, PRIMARY KEY (topic, reason)) WITHOUT ROWID;
CREATE TABLE message (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, epoch INTEGER NOT NULL,
    "offset" INTEGER NOT NULL, tenant_id TEXT, event_type TEXT, reason TEXT, "key" BLOB, value BLOB,
    received_us INTEGER NOT NULL, UNIQUE (topic, partition, epoch, "offset"));
CREATE INDEX message_rejected ON message (id) WHERE reason IS NOT NULL;
"""
# A row of `stretch` is a message run: up to 500 consecutive messages of a partition that were fetched together. A row
# for each message took five times as long to write. The view `message` shows one row for each message.
_SCHEMA_2: Final = """
CREATE TABLE stretch (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, epoch INTEGER NOT NULL,
    first_offset INTEGER NOT NULL, last_offset INTEGER NOT NULL, messages INTEGER NOT NULL, rejected INTEGER NOT NULL,
    received_us INTEGER NOT NULL, facts TEXT NOT NULL, message_keys BLOB NOT NULL, message_values BLOB NOT NULL,
    UNIQUE (topic, partition, epoch, last_offset));
INSERT INTO stretch
SELECT id, topic, partition, epoch, "offset", "offset", 1, reason IS NOT NULL, received_us,
    json_array(json_array("offset", tenant_id, event_type, reason, 0, length("key"), 0, length(value))),
    coalesce("key", x''), coalesce(value, x'')
FROM message ORDER BY id;
DROP TABLE message;
CREATE INDEX stretch_rejected ON stretch (id) WHERE rejected > 0;
CREATE TRIGGER stretch_once BEFORE INSERT ON stretch WHEN NEW.first_offset <= (
    SELECT max(last_offset) FROM stretch WHERE topic = NEW.topic AND partition = NEW.partition AND epoch = NEW.epoch)
BEGIN SELECT RAISE(ABORT, 'offsets must be unique: some of these are kept already'); END;
CREATE VIEW message AS
SELECT stretch.id + fact.key AS id, topic, partition, epoch, json_extract(fact.value, '$[0]') AS "offset",
    json_extract(fact.value, '$[1]') AS tenant_id, json_extract(fact.value, '$[2]') AS event_type,
    json_extract(fact.value, '$[3]') AS reason,
    CASE json_extract(fact.value, '$[5]') WHEN 0 THEN x''
        ELSE substr(message_keys, 1 + json_extract(fact.value, '$[4]'), json_extract(fact.value, '$[5]')) END AS "key",
    CASE json_extract(fact.value, '$[7]') WHEN 0 THEN x''
        ELSE substr(message_values, 1 + json_extract(fact.value, '$[6]'), json_extract(fact.value, '$[7]')) END
        AS value,
    received_us, stretch.id AS stretch_id
FROM stretch, json_each(facts) AS fact;
"""
# `facts` is JSON, so that SQL can read it: offset, tenant, type and reason of each message (an empty list if none was
# rejected), and start and length of its key in `message_keys` and of its value in `message_values`. One list for each
# column takes a third of the time that one list for each message took.
_SCHEMA_3: Final = """
DROP VIEW message;
UPDATE stretch SET facts = (
    SELECT json_object(
        'offset', json_group_array(json_extract(value, '$[0]')),
        'tenant_id', json_group_array(json_extract(value, '$[1]')),
        'event_type', json_group_array(json_extract(value, '$[2]')),
        'reason', json_group_array(json_extract(value, '$[3]')),
        'key_at', json_group_array(json_extract(value, '$[4]')),
        'key_bytes', json_group_array(json_extract(value, '$[5]')),
        'value_at', json_group_array(json_extract(value, '$[6]')),
        'value_bytes', json_group_array(json_extract(value, '$[7]')))
    FROM json_each(facts));
CREATE VIEW message AS
SELECT stretch.id + fact.key AS id, topic, partition, epoch, fact.value AS "offset",
    json_extract(facts, '$.tenant_id[' || fact.key || ']') AS tenant_id,
    json_extract(facts, '$.event_type[' || fact.key || ']') AS event_type,
    json_extract(facts, '$.reason[' || fact.key || ']') AS reason,
    CASE json_extract(facts, '$.key_bytes[' || fact.key || ']') WHEN 0 THEN x''
        ELSE substr(message_keys, 1 + json_extract(facts, '$.key_at[' || fact.key || ']'),
            json_extract(facts, '$.key_bytes[' || fact.key || ']')) END AS "key",
    CASE json_extract(facts, '$.value_bytes[' || fact.key || ']') WHEN 0 THEN x''
        ELSE substr(message_values, 1 + json_extract(facts, '$.value_at[' || fact.key || ']'),
            json_extract(facts, '$.value_bytes[' || fact.key || ']')) END AS value,
    received_us, stretch.id AS stretch_id
FROM stretch, json_each(facts, '$.offset') AS fact;
"""
MIGRATIONS: Final = {0: _SCHEMA_1, 1: _SCHEMA_2, 2: _SCHEMA_3}
"""By the version that they start from. Each runs in one transaction, which also sets the new version."""
SCHEMA_VERSION: Final = len(MIGRATIONS)


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Create or migrate the tables. Raises JournalUnusableError for another program's file, or a newer schema."""
    application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != APPLICATION_ID:
        raise JournalUnusableError(f"SINK_JOURNAL: {path} is the database of another program; choose another file")
    if version > SCHEMA_VERSION:
        raise JournalUnusableError(
            f"SINK_JOURNAL: {path} has schema {version}, this sink knows {SCHEMA_VERSION}; start a newer sink"
        )
    for start in range(version, SCHEMA_VERSION):
        db.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[start]}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {start + 1}; COMMIT"
        )
