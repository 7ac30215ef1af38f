"""Reading a journal, beside the sink that writes it or without one.

The tables are the same in each database, but for `message`: in PostgreSQL a table, in SQLite a view.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sink.journal.model import Partition, Position, Totals

_CHUNK_ROWS: Final = 1000
_ROWS: Final = (
    'SELECT id, topic, "partition", epoch, "offset", tenant_id, event_type, reason, "key", value, received_us'
    " FROM message"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A message as it was kept, with its id in the journal. With a reason it is no event."""

    id: int
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
class Place:
    """A partition's position, and the number of offsets that were passed since the journal began."""

    partition: Partition
    position: Position
    passed: int


class Reader(ABC):
    """One look at a journal: everything it returns is of one moment. Each method raises JournalAwayError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    @abstractmethod
    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, whose parameters are question marks."""

    def group(self) -> str:
        """Return the consumer group whose memory this is."""
        return str(self._all("SELECT consumer_group FROM journal")[0][0])

    def places(self) -> list[Place]:
        """Return every partition."""
        query = 'SELECT topic, "partition", next, epoch, cluster, passed FROM position ORDER BY topic, "partition"'
        return [
            Place(
                partition=(topic, number),
                position=Position(next_offset=next_offset, epoch=epoch, cluster=cluster),
                passed=passed,
            )
            for topic, number, next_offset, epoch, cluster, passed in self._all(query)
        ]

    def totals(self) -> Totals:
        """Return everything counted, in the order in which it was first seen."""
        ingested = self._all("SELECT tenant_id, topic, events FROM ingested ORDER BY id")
        rejected = self._all("SELECT topic, reason, messages FROM rejected ORDER BY topic, reason")
        return Totals(
            ingested={(tenant_id, topic): events for tenant_id, topic, events in ingested},
            rejected={(topic, reason): messages for topic, reason, messages in rejected},
        )

    def kept_by_topic(self) -> dict[str, int]:
        """Return how many messages are kept."""
        return dict(self._all("SELECT topic, count(*) FROM message GROUP BY topic ORDER BY topic"))

    def latest(self, limit: int, *, rejected: bool) -> list[Kept]:
        """Return the newest events, or the newest rejected messages, newest first."""
        which = "IS NOT NULL" if rejected else "IS NULL"
        return self._kept(f"WHERE reason {which} ORDER BY id DESC LIMIT ?", limit)

    def message(self, number: int) -> Kept | None:
        """Return one message by its id."""
        return next(iter(self._kept("WHERE id = ?", number)), None)

    def messages(self) -> Iterator[Kept]:
        """Return all messages, oldest first, read as they are needed."""
        after = 0
        while chunk := self._kept(f"WHERE id > ? ORDER BY id LIMIT {_CHUNK_ROWS}", after):
            after = chunk[-1].id
            yield from chunk

    def _kept(self, which: str, *values: object) -> list[Kept]:
        return [_kept(row) for row in self._all(f"{_ROWS} {which}", *values)]


def _kept(row: tuple[Any, ...]) -> Kept:
    number, topic, partition, epoch, offset, tenant_id, event_type, reason, key, value, received_us = row
    return Kept(
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
