"""The loop: fetch, decode, count, commit.

With a journal each event is counted exactly once: the journal holds where counting has come to, Kafka's commits only
tell others about it. Without one Kafka alone remembers, and an offset is committed after its message was counted: at
least once.
"""

import time
from threading import Event as Flag
from typing import Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message

from sink.batches import Batch
from sink.counting import Counting
from sink.dead_letters import DeadLetters
from sink.health import Pulse
from sink.journal.model import Journal, JournalAwayError, OvertakenError
from sink.log_lines import LogLines
from sink.membership import Callbacks, Membership
from sink.metrics import Metrics
from sink.properties import consumer_properties, producer_properties
from sink.settings import Settings

CHUNK_MESSAGES: Final = 500  # decoded at once
_POLL_S: Final = 0.2
_GATHER_S: Final = 0.01  # how long full chunks are gathered into one batch, for one transaction
_EVERY_S: Final = 1.0  # between commits, and between two tries to reach a journal
_ACKNOWLEDGED_S: Final = 1.0  # for a dead letter, before reading is paused
# The offset to read next is not, or no longer, one of the partition's.
_NOWHERE: Final = {KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION}  # noqa: SLF001  # public by use


class FatalKafkaError(Exception):
    """librdkafka cannot go on in this process; a new one can."""


class _BrokerState(msgspec.Struct):
    state: str


class _PartitionState(msgspec.Struct):
    hi_offset: int = -1


class _TopicState(msgspec.Struct):
    partitions: dict[str, _PartitionState]


class _Statistics(msgspec.Struct):
    """The part of librdkafka's statistics (its STATISTICS.md) about connections and the ends of partitions."""

    brokers: dict[str, _BrokerState]
    topics: dict[str, _TopicState] = {}


class EventConsumer:
    """Counts what one member of the group reads. Raises KafkaException if librdkafka refuses a property."""

    def __init__(
        self, settings: Settings, *, journal: Journal | None, metrics: Metrics, pulse: Pulse, log: LogLines
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._pulse = pulse
        self._log = log
        self._counting = Counting(journal, metrics, log)
        self._dead_letters = DeadLetters(topic=settings.dlq_topic, properties=producer_properties(settings))
        self._held: Batch | None = None
        self._journal_away = False
        self._retry_at = 0.0
        self._fatal: KafkaError | None = None
        callbacks: Callbacks = {"error_cb": self._on_error, "stats_cb": self._on_statistics}
        self._member = Membership(
            consumer_properties(settings), callbacks, journal=journal, metrics=metrics, pulse=pulse, log=log
        )

    def run(self, stop: Flag) -> None:
        """Count until `stop` is set; then commit, leave the group and return. Raises FatalKafkaError."""
        topics = list(self._settings.topics)
        self._member.join(topics)
        self._log.headline(f"CRM Events Sink started. Listening to topics: {topics}")
        tick_at = 0.0
        try:
            while not stop.is_set():
                self._pulse.beat()
                self._turn()
                if time.monotonic() >= tick_at:
                    self._tick()
                    tick_at = time.monotonic() + _EVERY_S
        finally:
            self._member.leave()

    def _tick(self) -> None:
        self._member.commit()
        if not self._journal_away:
            try:
                self._counting.prune()
            except JournalAwayError as error:
                self._lose_journal(error)

    def _turn(self) -> None:
        if self._fatal is not None:
            raise FatalKafkaError(self._fatal.str())
        if self._journal_away:
            self._wait_for_journal()
        elif not self._member.located:
            self._locate()
        elif self._held is not None:
            self._wait_for_dead_letters(self._held)
        elif (batch := self._fetched()) is not None:
            self._take(batch)

    def _fetched(self) -> Batch | None:
        """Return what is there, without waiting for a chunk to fill: waiting costs 878 ms at 200 events/s.

        A rebalance in the middle leaves messages in hand that may be another member's by now. None of them has been
        counted, so they are let go; reading starts again at the counted offsets.
        """
        batch = Batch(rebalances=self._member.rebalances)
        first = self._member.kafka.poll(_POLL_S)
        if first is None:
            return None
        batch.fetched_at = time.monotonic()
        messages = [first, *self._member.kafka.consume(CHUNK_MESSAGES - 1, 0)]
        self._decode(batch, messages)
        while len(messages) == CHUNK_MESSAGES and time.monotonic() < batch.fetched_at + _GATHER_S:
            messages = self._member.kafka.consume(CHUNK_MESSAGES, 0)
            if messages:
                self._decode(batch, messages)
        if batch.rebalances != self._member.rebalances:
            return None
        batch.next_offsets = self._member.positions()
        return batch

    def _decode(self, batch: Batch, messages: list[Message]) -> None:
        batch.add(messages, log=self._settings.log_events, keep=self._counting.keeps_rows, on_error=self._on_error)

    def _take(self, batch: Batch) -> None:
        """Count the batch, after the broker has acknowledged its dead letters."""
        if batch.letters and self._settings.dlq_topic:
            self._dead_letters.send(batch.letters)
            if not self._dead_letters.acknowledged(_ACKNOWLEDGED_S):
                self._hold(batch)
                return
            self._metrics.add("dead_letters_total", len(batch.letters))
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        try:
            self._counting.count(batch, self._member.epochs)
        except OvertakenError as error:
            self._metrics.add("journal_overtaken_total")
            self._log.say(f"Journal: {error}; a batch is let go, and its positions are read again")
            self._member.located = False
        except JournalAwayError as error:
            self._lose_journal(error)

    def _locate(self) -> None:
        try:
            self._member.locate()
            self._pulse.blocked = ""
        except OvertakenError:
            self._log.say("Journal: another member has counted meanwhile; its positions are read again")
        except JournalAwayError as error:
            self._lose_journal(error)
        except KafkaException as error:
            self._pulse.blocked = f"Kafka did not say where to start: {error.args[0].str()}"
            self._log.repeat("Kafka did not say where to start", error.args[0])
            self._member.kafka.poll(_POLL_S)

    def _lose_journal(self, error: JournalAwayError) -> None:
        """Read nothing until the journal is back."""
        self._journal_away = True
        self._retry_at = time.monotonic() + _EVERY_S
        self._metrics.add("journal_failures_total")
        self._metrics.journal_up(up=False)
        self._pulse.blocked = f"the journal is away: {error}"
        self._log.say(f"Kafka reading is paused: {self._pulse.blocked}")
        self._member.pause()

    def _wait_for_journal(self) -> None:
        """Paused, yet still polling: the group keeps us as a member. Then go on from the journal's positions."""
        self._member.kafka.poll(_POLL_S)  # a message that it returns comes again
        if time.monotonic() < self._retry_at:
            return
        self._retry_at = time.monotonic() + _EVERY_S
        try:
            self._counting.settle()
        except JournalAwayError as error:
            self._pulse.blocked = f"the journal is away: {error}"
            return
        self._journal_away = False
        self._member.located = False
        self._held = None
        self._dead_letters.forget()
        self._metrics.journal_up(up=True)
        self._release("the journal is back")

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
            self._member.located = False  # the poll above may have let a message go
            self._release("the partitions have changed")
        elif self._dead_letters.acknowledged(_POLL_S):
            self._metrics.add("dead_letters_total", len(batch.letters))
            self._count(batch)
            if not self._journal_away:
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
        if error.code() in _NOWHERE:
            self._member.located = False
        self._log.repeat("Kafka error", error, self._hint(error))

    def _hint(self, error: KafkaError) -> str:
        """Say what was tried: of a broker that hangs up at once librdkafka tells only that it is down."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # public by use
            return ""
        protocol = self._settings.kafka.get("security.protocol", "PLAINTEXT")
        return (
            f"; {self._settings.kafka_bootstrap} was spoken to in {protocol}. If no line says more, the broker hangs "
            "up: it may expect another KAFKA_SECURITY_PROTOCOL"
        )

    def _on_statistics(self, document: str) -> None:
        statistics = msgspec.json.decode(document, type=_Statistics)
        self._metrics.ends(
            {
                (topic, int(number)): partition.hi_offset
                for topic, state in statistics.topics.items()
                for number, partition in state.partitions.items()
                if partition.hi_offset >= 0
            }
        )
        connected = any(broker.state == "UP" for broker in statistics.brokers.values())
        if connected != self._pulse.connected:
            self._pulse.connected = connected
            self._log.say("Kafka is connected" if connected else "Kafka is not connected, trying again")
