"""The loop: fetch, decode, count, commit.

At least once, and only Kafka remembers: an offset is committed after its message was counted. What was counted but not
yet committed when the process is killed is counted again by the next one.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event as Flag
from typing import Final

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from sink.dead_letters import DeadLetter, DeadLetters
from sink.decoding import Event, decode_batch
from sink.health import Pulse
from sink.log_lines import LogLines, Throttle
from sink.metrics import Metrics, Partition
from sink.settings import Settings

BATCH_MESSAGES: Final = 500
_POLL_S: Final = 0.2
_COMMIT_EVERY_S: Final = 1.0
_LOOKUP_S: Final = 3.0  # for the answers about where an assignment starts
_ACKNOWLEDGED_S: Final = 1.0  # for a dead letter, before reading is paused

# Each may be changed by its KAFKA_ variable.
_DEFAULTS: Final[dict[str, str | int | bool]] = {
    "client.id": "crm-events-sink",
    "log_level": 2,  # librdkafka would write to stderr itself; its errors come to us as `error_cb`
    "session.timeout.ms": 10_000,  # a killed sink holds its partitions this long
    "heartbeat.interval.ms": 1_000,  # how soon a member learns of a rebalance
    "topic.metadata.refresh.interval.ms": 3_000,  # how soon a topic made after the start is noticed
    "reconnect.backoff.max.ms": 1_000,
    "fetch.queue.backoff.ms": 20,  # default 1000: a full local queue runs dry, 140k instead of 1,200k events/s
    "fetch.wait.max.ms": 100,  # librdkafka's mock broker always waits this long; real ones answer at once
}


class FatalKafkaError(Exception):
    """librdkafka cannot go on in this process; a new one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Messages that were fetched together, decoded, and the offsets after them."""

    events: list[Event]
    ingested: Counter[tuple[str, str]]  # by tenant and topic
    letters: list[DeadLetter]
    next_offsets: dict[Partition, int]


class _BrokerState(msgspec.Struct):
    state: str


class _Statistics(msgspec.Struct):
    """The part of librdkafka's statistics (its STATISTICS.md) that tells whether any broker is connected."""

    brokers: dict[str, _BrokerState]


class EventConsumer:
    """One member of the consumer group. Raises KafkaException if librdkafka refuses a property.

    Every method runs in the thread that calls `run`; librdkafka calls back from within poll, consume and close.
    """

    def __init__(self, settings: Settings, *, metrics: Metrics, pulse: Pulse, log: LogLines) -> None:
        self._settings = settings
        self._metrics = metrics
        self._pulse = pulse
        self._log = log
        self._throttles: dict[str, Throttle] = {}
        self._dead_letters = DeadLetters(topic=settings.dlq_topic, properties=_producer_properties(settings))
        self._partitions: list[Partition] = []
        self._committed: dict[Partition, int] = {}  # what Kafka remembers
        self._counted: dict[Partition, int] = {}  # the next offsets of assignments that have ended
        self._rebalances = 0
        self._held: Batch | None = None
        self._fatal: KafkaError | None = None
        self._consumer = Consumer(
            _consumer_properties(settings)
            | {"error_cb": self._on_error, "stats_cb": self._on_statistics, "on_commit": self._on_commit}
        )

    def run(self, stop: Flag) -> None:
        """Count until `stop` is set; then commit, leave the group and return. Raises FatalKafkaError."""
        self._consumer.subscribe(
            list(self._settings.topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        self._log.headline(f"CRM Events Sink started. Listening to topics: {list(self._settings.topics)}")
        commit_at = 0.0
        try:
            while not stop.is_set():
                self._pulse.beat()
                self._turn()
                if time.monotonic() >= commit_at:
                    self._commit(wait=False)
                    commit_at = time.monotonic() + _COMMIT_EVERY_S
        finally:
            self._consumer.close()  # calls _on_revoke, which commits

    def _turn(self) -> None:
        if self._fatal is not None:
            raise FatalKafkaError(self._fatal.str())
        if self._held is not None:
            self._wait_for_dead_letters(self._held)
        elif messages := self._fetched():
            self._take(self._decoded(messages))

    def _fetched(self) -> list[Message]:
        """Return what is there, without waiting for a batch to fill: waiting costs 878 ms at 200 events/s.

        A rebalance in the middle leaves messages in hand that may be another member's by now. None of them has been
        counted, so they are let go, and reading starts again at the counted offsets.
        """
        rebalances = self._rebalances
        first = self._consumer.poll(_POLL_S)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(BATCH_MESSAGES - 1, 0)]
        if rebalances == self._rebalances:
            return messages
        self._start_reading()
        return []

    def _decoded(self, messages: Sequence[Message]) -> Batch:
        decoded = decode_batch([message.value() for message in messages])
        letters = []
        if decoded.rejected:
            for index, reason in decoded.rejected.items():
                error = messages[index].error()  # an error's text is its value, and is never an event
                if error is not None:
                    self._on_error(error)
                else:
                    letters.append(DeadLetter(message=messages[index], reason=reason))
            messages = [message for index, message in enumerate(messages) if index not in decoded.rejected]
        tenants = [event.tenant_id for event in decoded.events]
        return Batch(
            events=decoded.events,
            ingested=Counter(zip(tenants, [message.topic() or "" for message in messages], strict=True)),
            letters=letters,
            next_offsets=self._positions(),
        )

    def _positions(self) -> dict[Partition, int]:
        """Return the offsets after the messages fetched last: one call, where offset() per message costs 10 %."""
        positions = self._consumer.position([TopicPartition(*partition) for partition in self._partitions])
        return {(p.topic, p.partition): p.offset for p in positions if p.offset >= 0}

    def _take(self, batch: Batch) -> None:
        """Count the batch, after the broker has acknowledged its dead letters."""
        if batch.letters and self._settings.dlq_topic:
            self._dead_letters.send(batch.letters)
            if not self._dead_letters.acknowledged(_ACKNOWLEDGED_S):
                self._hold(batch)
                return
            self._metrics.dead_letters(len(batch.letters))
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        self._metrics.record(
            ingested=batch.ingested,
            rejected=Counter((letter.message.topic() or "", letter.reason) for letter in batch.letters),
            next_offsets=batch.next_offsets,
        )
        if self._settings.log_events and batch.events:
            self._log.events(batch.events)
        for letter in batch.letters:
            message = letter.message
            self._log.say(
                f"Rejected {message.topic()} partition {message.partition()} offset {message.offset()}: {letter.reason}"
            )

    def _hold(self, batch: Batch) -> None:
        """Stop reading. Paused, yet still polling: the group keeps us as a member."""
        self._held = batch
        self._pulse.blocked = self._dead_letters.problem
        self._log.say(f"Kafka reading is paused: {self._pulse.blocked}")
        self._consumer.pause([TopicPartition(*partition) for partition in self._partitions])

    def _wait_for_dead_letters(self, batch: Batch) -> None:
        self._consumer.poll(_POLL_S)  # paused: whatever it returns is read again by _start_reading
        if self._held is None or not self._dead_letters.acknowledged(_POLL_S):
            return
        self._release()
        self._metrics.dead_letters(len(batch.letters))
        self._count(batch)
        self._consumer.resume([TopicPartition(*partition) for partition in self._partitions])
        self._start_reading()
        self._log.say("Kafka reading goes on: the dead letters are acknowledged")

    def _release(self) -> None:
        self._held = None
        self._pulse.blocked = ""

    def _start_reading(self) -> None:
        """Read each assigned partition from its next offset to count."""
        next_offsets = self._metrics.next_offsets()
        self._consumer.assign([TopicPartition(*p, next_offsets.get(p, OFFSET_INVALID)) for p in self._partitions])

    def _commit(self, *, wait: bool) -> None:
        """Tell Kafka what was counted since the last commit."""
        offsets = {p: o for p, o in self._metrics.next_offsets().items() if o != self._committed.get(p)}
        if not offsets:
            return
        request = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        try:
            if wait:
                self._on_commit(None, self._consumer.commit(offsets=request, asynchronous=False))
            else:
                self._consumer.commit(offsets=request, asynchronous=True)
        except KafkaException as error:
            again = sum(offset - self._committed.get(p, 0) for p, offset in offsets.items())
            reason = error.args[0].str()
            self._log.say(f"Kafka commit failed, another member may count up to {again} events again: {reason}")

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = error or next((p.error for p in partitions if p.error), None)
        if failed:
            self._complain("Kafka commit failed, it is tried again", failed)
            return
        self._committed.update({(p.topic, p.partition): p.offset for p in partitions})

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        starts = self._starts(partitions)
        self._rebalances += 1
        self._partitions = [(p.topic, p.partition) for p in partitions]
        self._metrics.assign(len(partitions), starts)
        self._commit(wait=False)
        self._start_reading()
        self._pulse.assigned, self._pulse.connected = len(partitions), True
        self._log.say(f"Kafka group {self._settings.group_id} assigned {len(partitions)} partitions")

    def _starts(self, partitions: list[TopicPartition]) -> dict[Partition, int]:
        """Return where each partition starts: at its earliest message, or where its counting has come to.

        Looked up here, because `crm_events_next_offset` must be known before the first message. A partition that had no
        commit gets one at once. What this process has counted itself is not counted again, also if the commit
        was refused; unless the commit is gone, for then the topic is a new one.
        """
        try:
            self._committed = _known(self._consumer.committed(partitions, timeout=_LOOKUP_S))
            # A timestamp of -2 asks for the earliest offset: Kafka protocol, ListOffsets.
            question = [TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in partitions]
            earliest = _known(self._consumer.offsets_for_times(question, timeout=_LOOKUP_S))
        except KafkaException as error:
            self._complain("Kafka did not say where to start, librdkafka finds out", error.args[0])
            return {}
        return {partition: self._start(partition, first) for partition, first in earliest.items()}

    def _start(self, partition: Partition, earliest: int) -> int:
        if partition not in self._committed:
            return earliest
        reached = max(self._committed[partition], self._counted.get(partition, 0))
        if reached < earliest:
            where = f"{partition[0]} partition {partition[1]}"
            self._log.say(f"Kafka deleted offsets {reached} to {earliest - 1} of {where} before they were counted")
        return max(reached, earliest)

    def _on_revoke(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._commit(wait=True)
        self._on_lost(_, __)

    def _on_lost(self, _: Consumer, __: list[TopicPartition]) -> None:
        """Forget the assignment. When it is lost, another member may have committed by now: we commit nothing."""
        self._log.say(f"Kafka group {self._settings.group_id} took back {len(self._partitions)} partitions")
        self._rebalances += 1
        self._counted.update(self._metrics.next_offsets())
        self._partitions = []
        self._dead_letters.forget()
        self._release()
        self._metrics.assign(0, {})
        self._pulse.assigned = 0

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
        self._complain("Kafka error", error)

    def _on_statistics(self, document: str) -> None:
        brokers = msgspec.json.decode(document, type=_Statistics).brokers.values()
        connected = any(broker.state == "UP" for broker in brokers)
        if connected != self._pulse.connected:
            self._pulse.connected = connected
            self._log.say("Kafka is connected" if connected else "Kafka is not connected, trying again")

    def _complain(self, what: str, error: KafkaError) -> None:
        """Write an error that Kafka may repeat many times a second: each kind at most once in 10 s."""
        throttle = self._throttles.setdefault(f"{what} {error.name()}", Throttle(10.0))
        if (line := throttle.passed(f"{what}: {error.name()}: {error.str()}")) is not None:
            self._log.say(line)


def _known(answers: list[TopicPartition]) -> dict[Partition, int]:
    """Return the offsets that Kafka has told; for a partition without a commit it tells a negative one."""
    return {(p.topic, p.partition): p.offset for p in answers if p.error is None and p.offset >= 0}


def _consumer_properties(settings: Settings) -> dict[str, object]:
    return {
        **_DEFAULTS,
        **settings.kafka,
        "bootstrap.servers": settings.kafka_bootstrap,
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "statistics.interval.ms": 1_000,
    }


def _producer_properties(settings: Settings) -> dict[str, str | int | bool]:
    return {
        "client.id": "crm-events-sink",
        "log_level": 2,
        "message.max.bytes": 1_000_000_000,  # the broker decides what is too large, not librdkafka
        "message.timeout.ms": 10_000,
        **settings.kafka,
        "bootstrap.servers": settings.kafka_bootstrap,
        "enable.idempotence": True,
    }
