"""Kafka, read only: topics, positions, the sink's group and the events themselves, without ever joining a group."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from runbook.errors import UnreachableError
from runbook.settings import KafkaSettings

Position = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """The brokers at the addresses that they advertise, and every topic with its partitions."""

    brokers: tuple[str, ...]
    topics: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """A consumer group; each member is (client id, host, the partitions that it owns)."""

    state: str
    members: tuple[tuple[str, str, tuple[Position, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `value` is None when `raw` is not a JSON object; `at` is the message's own timestamp."""

    topic: str
    partition: int
    offset: int
    key: str
    at: datetime | None
    value: dict[str, Any] | None
    raw: bytes


class Kafka:
    """One cluster. Every method raises UnreachableError that quotes librdkafka. Connects on first use."""

    def __init__(self, settings: KafkaSettings, timeout_s: float = 5) -> None:
        """Keep the address; `timeout_s` limits each request."""
        self._settings = settings
        self._timeout_s = timeout_s

    def metadata(self) -> ClusterFacts:
        """Return brokers and topics."""
        raise NotImplementedError

    def end_offsets(self, topics: Iterable[str]) -> dict[Position, int]:
        """Return, by (topic, partition), the offset that the next event will get; a missing topic has no entries."""
        raise NotImplementedError

    def start_offsets(self, topics: Iterable[str]) -> dict[Position, int]:
        """Return, by (topic, partition), the oldest offset that is still there."""
        raise NotImplementedError

    def committed(self, topics: Iterable[str]) -> dict[Position, int | None]:
        """Return, by (topic, partition), what the sink's group has committed; None where nothing."""
        raise NotImplementedError

    def group(self) -> GroupFacts | None:
        """Return the sink's group; None when the broker cannot say (librdkafka's mock cluster)."""
        raise NotImplementedError

    def events(self, between: Mapping[Position, tuple[int, int]], *, deadline_s: float) -> tuple[Event, ...]:
        """Return every event from a start up to, not including, an end offset, by topic, partition and offset."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
