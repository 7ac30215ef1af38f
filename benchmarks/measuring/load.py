"""The events that every contestant reads, and the proof that they are all there."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

EVENT_BYTES: Final = 281
LEADS: Final = "apexflow.leads.created"
JOBS: Final = "apexflow.jobs.created"
TOPICS: Final = (LEADS, JOBS)

# The mock broker keeps 5 MiB of a partition. A record takes up to 330 bytes there: value, key and Kafka's own fields.
_EVENTS_PER_PARTITION: Final = 12_000
_BLOCK: Final = 500  # events that go to one partition in a row, so that batches fill as a busy producer's do
_ANSWER_S: Final = 10.0
_FLUSH_S: Final = 60.0
_LEAD: Final = (
    '{"id":%d,"tenant_id":"%s","name":"%s","email":"a@b.io","phone":null,"source":"web","status":"new",'
    '"assigned_to":null,"tags":[],"created_at":"2025-11-03T19:48:51.465169","event_version":1,"actor":null,'
    '"event_type":"%s","published_at":"2025-11-03T19:48:51.470211"}'
)
_JOB: Final = (
    '{"id":%d,"tenant_id":"%s","lead_id":17,"title":"%s","status":"Open","description":"",'
    '"created_at":"2025-11-03T19:48:51.465169","event_type":"%s","published_at":"2025-11-03T19:48:51.470211"}'
)

Partition = tuple[str, int]
Acknowledged = Callable[[KafkaError | None, Message], None]
Series = tuple[str, str]
"""A tenant and a topic: the labels of one counter."""


class LoadError(Exception):
    """The broker does not hold what was sent to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Events in a broker, and the ledger that counters are compared with."""

    bootstrap: str
    events: int
    ledger: Mapping[Series, int]
    ends: Mapping[Partition, int]  # the offset after the last event of each partition; each starts at 0


def partitions_for(events: int) -> int:
    """Return how many partitions each topic needs, so that the mock broker drops nothing."""
    return max(4, -(-events // len(TOPICS) // _EVENTS_PER_PARTITION))


def event(number: int, tenant: str, topic: str, event_type: str = "") -> bytes:
    """Return one event of 281 bytes with the fields that ApexFlow sends; the name or title fills it up."""
    template, kind = (_LEAD, "lead.created") if topic == LEADS else (_JOB, "job.created")
    bare = template % (number, tenant, "", event_type or kind)
    return (template % (number, tenant, "x" * (EVENT_BYTES - len(bare)), event_type or kind)).encode()


def produced(bootstrap: str, *, events: int, tenants: int) -> Load:
    """Send the events to both topics, evenly over all partitions, and prove that the broker holds each of them."""
    partitions = [(topic, number) for number in range(partitions_for(events)) for topic in TOPICS]
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 500_000})
    ledger: Counter[Series] = Counter()
    ends = dict.fromkeys(partitions, 0)
    refused: list[KafkaError] = []

    def acknowledged(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error)

    for number, place in zip(range(events), _blocks(partitions), strict=False):
        name = _tenant(number, tenants)
        _send(producer, place, f"{name}:event:{number}", event(number, name, place[0]), acknowledged)
        ledger[name, place[0]] += 1
        ends[place] += 1
    left = producer.flush(_FLUSH_S)
    if refused or left:
        raise LoadError(f"{len(refused)} events were refused, {left} not acknowledged: {refused[:1]}")
    prove(bootstrap, ends)
    return Load(bootstrap=bootstrap, events=events, ledger=ledger, ends=ends)


def prove(bootstrap: str, ends: Mapping[Partition, int]) -> None:
    """Ask the broker for both ends of each partition: nothing missing at the end, nothing dropped at the start."""
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": "proof", "log_level": 3})) as asker:
        for (topic, number), end in ends.items():
            held = asker.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_S)
            if held != (0, end):
                raise LoadError(f"{topic} partition {number} holds offsets {held}, sent were 0 to {end}")


def _tenant(number: int, tenants: int) -> str:
    """Give each event another tenant, lap for lap; a lap's shift by a block lets every tenant meet both topics."""
    return f"t{(number + number // tenants * _BLOCK) % tenants:07d}"


def _blocks(partitions: list[Partition]) -> Iterator[Partition]:
    while True:
        for partition in partitions:
            for _ in range(_BLOCK):
                yield partition


def _send(producer: Producer, place: Partition, key: str, value: bytes, acknowledged: Acknowledged) -> None:
    """Queue one event, waiting while the local queue is full."""
    topic, partition = place
    while True:
        try:
            producer.produce(topic, value, key, partition=partition, on_delivery=acknowledged)
        except BufferError:
            producer.poll(0.1)
        else:
            return
