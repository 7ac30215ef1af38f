"""Reading a journal, while a sink writes it or not.

The tables are the same in each database, except `message`: a table in PostgreSQL, a view in SQLite.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sink.journal.model import Partition, Position, Totals

_CHUNK_ROWS: Final = 1000
_SELECT_MESSAGE: Final = (
    'SELECT id, topic, "partition", epoch, "offset", tenant_id, event_type, reason, "key", value, received_us'
    " FROM message"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message in the journal. One with a reason was rejected, and has no tenant and no type."""

    id: int  # given by the journal
    topic: str
    partition: int
    epoch: int
    offset: int
    tenant_id: str | None
    event_type: str | None
    reason: str | None
    key: bytes | None
    value: bytes | None
    received_at: datetime  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPartition:
    """A partition's position, and the number of offsets passed since the journal was created."""

    topic: str
    number: int
    position: Position
    passed: int

    @property
    def key(self) -> Partition:
        """Return topic and number."""
        return self.topic, self.number


class JournalReader(ABC):
    """A snapshot of a journal: everything it returns is of one moment. Each method raises JournalUnavailableError."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, whose parameters are question marks."""

    def group(self) -> str:
        """Return the consumer group that this journal belongs to."""
        return str(self._all("SELECT consumer_group FROM journal")[0][0])

    def partitions(self) -> list[StoredPartition]:
        """Return every partition, by topic and number."""
        query = 'SELECT topic, "partition", next, epoch, cluster, passed FROM position ORDER BY topic, "partition"'
        return [
            StoredPartition(
                topic=topic,
                number=number,
                position=Position(next_offset=next_offset, epoch=epoch, cluster=cluster),
                passed=passed,
            )
            for topic, number, next_offset, epoch, cluster, passed in self._all(query)
        ]

    def totals(self) -> Totals:
        """Return everything counted, in the order in which it was first counted."""
        ingested = self._all("SELECT tenant_id, topic, events FROM ingested ORDER BY id")
        rejected = self._all("SELECT topic, reason, messages FROM rejected ORDER BY topic, reason")
        return Totals(
            ingested={(tenant_id, topic): events for tenant_id, topic, events in ingested},
            rejected={(topic, reason): messages for topic, reason, messages in rejected},
        )

    def messages_by_topic(self) -> dict[str, int]:
        """Return how many messages are stored, by topic."""
        return dict(self._all("SELECT topic, count(*) FROM message GROUP BY topic ORDER BY topic"))

    def latest(self, limit: int, *, rejected: bool) -> list[StoredMessage]:
        """Return the newest events, or the newest rejected messages, newest first."""
        condition = "IS NOT NULL" if rejected else "IS NULL"
        return self._select(f"WHERE reason {condition} ORDER BY id DESC LIMIT ?", limit)

    def message(self, number: int) -> StoredMessage | None:
        """Return the message with that id."""
        return next(iter(self._select("WHERE id = ?", number)), None)

    def messages(self) -> Iterator[StoredMessage]:
        """Return all messages, oldest first, read in chunks."""
        after = 0
        while chunk := self._select(f"WHERE id > ? ORDER BY id LIMIT {_CHUNK_ROWS}", after):
            after = chunk[-1].id
            yield from chunk

    def _select(self, condition: str, *values: object) -> list[StoredMessage]:
        return [_stored_message(row) for row in self._all(f"{_SELECT_MESSAGE} {condition}", *values)]


def _stored_message(row: tuple[Any, ...]) -> StoredMessage:
    number, topic, partition, epoch, offset, tenant_id, event_type, reason, key, value, received_us = row
    return StoredMessage(
        id=number,
        topic=topic,
        partition=partition,
        epoch=epoch,
        offset=offset,
        tenant_id=tenant_id,
        event_type=event_type,
        reason=reason,
        key=key,
        value=value,
        received_at=datetime.fromtimestamp(received_us / 1_000_000, UTC),
    )
