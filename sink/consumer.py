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
from confluent_kafka import KafkaError, Message

from sink.dead_letters import DeadLetter, DeadLetters
from sink.decoding import Event, decode_batch
from sink.health import Pulse
from sink.log_lines import LogLines
from sink.membership import Callbacks, Membership
from sink.metrics import Metrics, Partition
from sink.properties import consumer_properties, producer_properties
from sink.settings import Settings

BATCH_MESSAGES: Final = 500
_POLL_S: Final = 0.2
_COMMIT_EVERY_S: Final = 1.0
_ACKNOWLEDGED_S: Final = 1.0  # for a dead letter, before reading is paused


class FatalKafkaError(Exception):
    """librdkafka cannot go on in this process; a new one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Messages that were fetched together, decoded, and the offsets after them."""

    events: list[Event]
    ingested: Counter[tuple[str, str]]  # by tenant and topic
    letters: list[DeadLetter]
    next_offsets: dict[Partition, int]
    rebalances: int  # of the member, when it was fetched


class _BrokerState(msgspec.Struct):
    state: str


class _Statistics(msgspec.Struct):
    """The part of librdkafka's statistics (its STATISTICS.md) that tells whether any broker is connected."""

    brokers: dict[str, _BrokerState]


class EventConsumer:
    """Counts what one member of the group reads. Raises KafkaException if librdkafka refuses a property."""

    def __init__(self, settings: Settings, *, metrics: Metrics, pulse: Pulse, log: LogLines) -> None:
        self._settings = settings
        self._metrics = metrics
        self._pulse = pulse
        self._log = log
        self._dead_letters = DeadLetters(topic=settings.dlq_topic, properties=producer_properties(settings))
        self._held: Batch | None = None
        self._fatal: KafkaError | None = None
        callbacks: Callbacks = {"error_cb": self._on_error, "stats_cb": self._on_statistics}
        self._member = Membership(consumer_properties(settings), callbacks, metrics=metrics, pulse=pulse, log=log)

    def run(self, stop: Flag) -> None:
        """Count until `stop` is set; then commit, leave the group and return. Raises FatalKafkaError."""
        topics = list(self._settings.topics)
        self._member.join(topics)
        self._log.headline(f"CRM Events Sink started. Listening to topics: {topics}")
        commit_at = 0.0
        try:
            while not stop.is_set():
                self._pulse.beat()
                self._turn()
                if time.monotonic() >= commit_at:
                    self._member.commit()
                    commit_at = time.monotonic() + _COMMIT_EVERY_S
        finally:
            self._member.leave()

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
        rebalances = self._member.rebalances
        first = self._member.kafka.poll(_POLL_S)
        if first is None:
            return []
        messages = [first, *self._member.kafka.consume(BATCH_MESSAGES - 1, 0)]
        if rebalances == self._member.rebalances:
            return messages
        self._member.start_reading()
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
            next_offsets=self._member.positions(),
            rebalances=self._member.rebalances,
        )

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
            self._log.say(f"Rejected {letter.place()}: {letter.reason}")

    def _hold(self, batch: Batch) -> None:
        """Count nothing and read nothing until the dead letters of this batch are safe."""
        self._held = batch
        self._pulse.blocked = self._dead_letters.problem
        self._log.say(f"Kafka reading is paused: {self._pulse.blocked}")
        self._member.pause()

    def _wait_for_dead_letters(self, batch: Batch) -> None:
        self._member.kafka.poll(_POLL_S)  # keeps the membership; a message that it returns comes again
        if self._member.rebalances != batch.rebalances:
            self._dead_letters.forget()
            self._release("the partitions have changed")
        elif self._dead_letters.acknowledged(_POLL_S):
            self._metrics.dead_letters(len(batch.letters))
            self._count(batch)
            self._member.start_reading()
            self._release("the dead letters are acknowledged")
        else:
            self._pulse.blocked = self._dead_letters.problem

    def _release(self, reason: str) -> None:
        self._held = None
        self._pulse.blocked = ""
        self._log.say(f"Kafka reading goes on: {reason}")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
        self._log.repeat("Kafka error", error)

    def _on_statistics(self, document: str) -> None:
        brokers = msgspec.json.decode(document, type=_Statistics).brokers.values()
        connected = any(broker.state == "UP" for broker in brokers)
        if connected != self._pulse.connected:
            self._pulse.connected = connected
            self._log.say("Kafka is connected" if connected else "Kafka is not connected, trying again")
