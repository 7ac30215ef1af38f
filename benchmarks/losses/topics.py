"""What an administrator does to topics and groups."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from benchmarks.losses.events import TOPICS, topic_of
from benchmarks.losses.world import World
from runbook.waiting import Pending

_WAIT_S: Final = 30.0
_COMPACTION: Final = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "1000"}


def _admin(world: World) -> AdminClient:
    return AdminClient({"bootstrap.servers": world.bootstrap, "log_level": 0})


def _done(futures: Iterable[Any]) -> None:
    for future in futures:
        future.result(_WAIT_S)


def _delete_records(world: World) -> None:
    """Delete all messages of both topics, as retention does."""
    admin = _admin(world)
    found = admin.list_topics(timeout=_WAIT_S).topics
    ends = [TopicPartition(topic, number, -1) for topic in TOPICS.values() for number in found[topic].partitions]
    _done(admin.delete_records(ends, request_timeout=_WAIT_S).values())


def _partitions(world: World, topic: str, many: str) -> None:
    admin = _admin(world)  # its futures end with it
    _done(admin.create_partitions([NewPartitions(topic_of(topic), int(many))]).values())


def _recreate(world: World, topic: str, partitions: str) -> None:
    """Delete a topic, and create it again."""
    admin, name = _admin(world), topic_of(topic)
    _done(admin.delete_topics([name], request_timeout=_WAIT_S).values())
    world.wait(lambda: name not in admin.list_topics(timeout=_WAIT_S).topics or Pending("it is there"), "a deletion")
    _done(admin.create_topics([NewTopic(name, int(partitions), 1)], request_timeout=_WAIT_S).values())


def _compacts(world: World, topic: str) -> None:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in _COMPACTION.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic_of(topic), incremental_configs=entries)
    admin = _admin(world)  # its futures end with it
    _done(admin.incremental_alter_configs([resource]).values())


def _group_to_the_end(world: World, group: str) -> None:
    """Commit the ends of both topics for a group without members."""
    consumer = Consumer({"bootstrap.servers": world.bootstrap, "group.id": group, "log_level": 0})
    try:
        found = consumer.list_topics(timeout=_WAIT_S).topics
        parts = [TopicPartition(topic, number) for topic in TOPICS.values() for number in found[topic].partitions]
        ends = [consumer.get_watermark_offsets(one, timeout=_WAIT_S)[1] for one in parts]
        offsets = [TopicPartition(one.topic, one.partition, end) for one, end in zip(parts, ends, strict=True)]
        consumer.commit(offsets=offsets, asynchronous=False)
    finally:
        consumer.close()


VERBS: Final[dict[str, Callable[..., None]]] = {
    "delete-records": _delete_records,
    "partitions": _partitions,
    "recreate": _recreate,
    "compacts": _compacts,
    "group-to-the-end": _group_to_the_end,
}
