"""What Kafka holds and who reads it, as the rest of this project sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from runbook.systems.kafka.content import Content

Position = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """The brokers at the addresses that they advertise, and every topic with its partitions.

    `cluster_id` is what the cluster calls itself; empty where it does not say.
    """

    brokers: tuple[str, ...]
    topics: Mapping[str, tuple[int, ...]]
    cluster_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """A consumer group; each member is (client id, host, the partitions that it owns).

    `state` is "stable", "empty", "dead" (there is no such group), "preparing_rebalancing" or "completing_rebalancing".
    """

    state: str
    members: tuple[tuple[str, str, tuple[Position, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmEvent:
    """One message of a topic; `content` says whether it is an event, `at` is the message's own timestamp."""

    topic: str
    partition: int
    offset: int
    key: str
    at: datetime | None
    content: Content
    raw: bytes
