"""What Kafka holds and who reads it, as the rest of this project sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Position = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """The brokers at the addresses that they advertise, and every topic with its partitions."""

    brokers: tuple[str, ...]
    topics: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """A consumer group; each member is (client id, host, the partitions that it owns).

    `state` is "stable", "empty", "dead" (there is no such group), "preparing_rebalancing" or "completing_rebalancing".
    """

    state: str
    members: tuple[tuple[str, str, tuple[Position, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmEvent:
    """One event. `value` is None when `raw` is not a JSON object; `at` is the message's own timestamp."""

    topic: str
    partition: int
    offset: int
    key: str
    at: datetime | None
    value: dict[str, Any] | None
    raw: bytes
