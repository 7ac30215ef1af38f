"""The poll loop: fetch, decode, count, commit.

With a journal each event is counted exactly once: the journal has the position of each partition, and Kafka's commits
only inform other tools. Without one only Kafka has it, and an offset is committed after its message was counted: at
least once.
"""

import threading
import time
from typing import Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message

from sink.acls import acl_of_the_consumer
from sink.batch_counter import BatchCounter
from sink.batches import Batch
from sink.dead_letters import DeadLetterProducer
from sink.health import Health
from sink.journal.model import FencedError, Journal, JournalUnavailableError
from sink.log_writer import LogWriter
from sink.membership import Callbacks, Membership
from sink.metrics import Metrics
from sink.properties import consumer_properties, producer_properties
from sink.settings import Settings

CHUNK_MESSAGES: Final = 500  # decoded at once
_POLL_S: Final = 0.2
_COLLECT_S: Final = 0.01  # how long full chunks are added to one batch, for one transaction
_COMMIT_EVERY_S: Final = 1.0
_RETRY_JOURNAL_S: Final = 1.0
_ACKNOWLEDGE_S: Final = 1.0  # for dead letters, before reading is paused
# The partition does not have, or no longer has, the offset to read next.
_OFFSET_GONE: Final = {KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION}  # noqa: SLF001  # public by use


class FatalKafkaError(Exception):
    """librdkafka cannot continue in this process; a new process can."""


class _BrokerState(msgspec.Struct):
    state: str


class _PartitionState(msgspec.Struct):
    hi_offset: int = -1


class _TopicState(msgspec.Struct):
    partitions: dict[str, _PartitionState]


class _Statistics(msgspec.Struct):
    """The part of librdkafka's statistics (its STATISTICS.md) about connections and end offsets."""

    brokers: dict[str, _BrokerState]
    topics: dict[str, _TopicState] = {}


class EventConsumer:
    """Counts what one member of the group reads. Raises KafkaException if librdkafka refuses a property."""

    def __init__(
        self, settings: Settings, *, journal: Journal | None, metrics: Metrics, health: Health, log: LogWriter
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._log = log
        self._counter = BatchCounter(journal, metrics, log)
        self._dead_letters = DeadLetterProducer(topic=settings.dlq_topic, properties=producer_properties(settings))
        self._waiting: Batch | None = None  # for its dead letters to be acknowledged
        self._is_journal_down = False
        self._retry_journal_at = 0.0
        self._fatal: KafkaError | None = None
        callbacks: Callbacks = {"error_cb": self._on_error, "stats_cb": self._on_statistics}
        self._member = Membership(
            consumer_properties(settings), callbacks, journal=journal, metrics=metrics, health=health, log=log
        )

    def run(self, stop: threading.Event) -> None:
        """Count until `stop` is set; then commit, leave the group and return. Raises FatalKafkaError."""
        topics = list(self._settings.topics)
        self._member.join(topics)
        self._log.write_without_time(f"CRM Events Sink started. Listening to topics: {topics}")
        commit_at = 0.0
        try:
            while not stop.is_set():
                self._health.note_iteration()
                self._iterate()
                if time.monotonic() >= commit_at:
                    self._commit_and_prune()
                    commit_at = time.monotonic() + _COMMIT_EVERY_S
        finally:
            self._member.leave()

    def _commit_and_prune(self) -> None:
        self._member.commit()
        if not self._is_journal_down:
            try:
                self._counter.prune()
            except JournalUnavailableError as error:
                self._pause_for_journal(error)

    def _iterate(self) -> None:
        if self._fatal is not None:
            raise FatalKafkaError(self._fatal.str())
        if self._is_journal_down:
            self._wait_for_journal()
        elif not self._member.has_start_offsets:
            self._find_start_offsets()
        elif self._waiting is not None:
            self._wait_for_dead_letters(self._waiting)
        elif (batch := self._fetched()) is not None:
            self._process(batch)

    def _fetched(self) -> Batch | None:
        """Return the messages that are there, without waiting for a full chunk: that costs 878 ms at 200 events/s.

        After a rebalance in the middle, the messages fetched before it may be another member's. None of them has been
        counted, so they are dropped; reading starts again at the counted offsets.
        """
        batch = Batch(rebalances=self._member.rebalances)
        first = self._member.kafka.poll(_POLL_S)
        if first is None:
            return None
        batch.fetched_at = time.monotonic()
        messages = [first, *self._member.kafka.consume(CHUNK_MESSAGES - 1, 0)]
        self._decode(batch, messages)
        while len(messages) == CHUNK_MESSAGES and time.monotonic() < batch.fetched_at + _COLLECT_S:
            messages = self._member.kafka.consume(CHUNK_MESSAGES, 0)
            if messages:
                self._decode(batch, messages)
        if batch.rebalances != self._member.rebalances:
            return None
        batch.next_offsets = self._member.fetched_offsets()
        return batch

    def _decode(self, batch: Batch, messages: list[Message]) -> None:
        store = self._counter.stores_messages
        batch.add(messages, log=self._settings.log_events, store=store, on_error=self._on_error)

    def _process(self, batch: Batch) -> None:
        """Count the batch, after the broker has acknowledged its dead letters."""
        if batch.dead_letters and self._settings.dlq_topic:
            self._dead_letters.enqueue(batch.dead_letters)
            if not self._dead_letters.flush(_ACKNOWLEDGE_S):
                self._pause_for_dead_letters(batch)
                return
            self._metrics.add("dead_letters_total", len(batch.dead_letters))
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        try:
            self._counter.count(batch, self._member.epochs)
        except FencedError as error:
            self._metrics.add("journal_overtaken_total")
            self._log.write(f"Journal: {error}; the batch is not counted, and the positions are read again")
            self._member.has_start_offsets = False
        except JournalUnavailableError as error:
            self._pause_for_journal(error)

    def _find_start_offsets(self) -> None:
        try:
            self._member.find_start_offsets()
            self._health.blocked_by = ""
        except FencedError:
            self._log.write("Journal: another member has counted meanwhile; the positions are read again")
        except JournalUnavailableError as error:
            self._pause_for_journal(error)
        except KafkaException as error:
            self._health.blocked_by = f"Kafka did not answer where to start: {error.args[0].str()}"
            self._log.write_throttled("Kafka did not answer where to start", error.args[0])
            self._member.kafka.poll(_POLL_S)

    def _pause_for_journal(self, error: JournalUnavailableError) -> None:
        """Read nothing until the journal answers again."""
        self._is_journal_down = True
        self._retry_journal_at = time.monotonic() + _RETRY_JOURNAL_S
        self._metrics.add("journal_failures_total")
        self._metrics.set_journal_up(up=False)
        self._health.blocked_by = f"the journal is not available: {error}"
        self._log.write(f"Kafka reading is paused: {self._health.blocked_by}")
        self._member.pause()

    def _wait_for_journal(self) -> None:
        """Paused, yet still polling: the group keeps us as a member. Then continue from the journal's positions."""
        self._member.kafka.poll(_POLL_S)  # a message that it returns is read again
        if time.monotonic() < self._retry_journal_at:
            return
        self._retry_journal_at = time.monotonic() + _RETRY_JOURNAL_S
        try:
            self._counter.reconnect()
        except JournalUnavailableError as error:
            self._health.blocked_by = f"the journal is not available: {error}"
            return
        self._is_journal_down = False
        self._member.has_start_offsets = False
        self._dead_letters.discard()
        self._metrics.set_journal_up(up=True)
        self._resume("the journal is available")

    def _pause_for_dead_letters(self, batch: Batch) -> None:
        """Count nothing and read nothing until the dead letters of this batch are acknowledged."""
        self._waiting = batch
        self._health.blocked_by = self._dead_letters.problem
        self._log.write(f"Kafka reading is paused: {self._health.blocked_by}")
        self._member.pause()

    def _wait_for_dead_letters(self, batch: Batch) -> None:
        self._member.kafka.poll(_POLL_S)  # the group keeps us as a member; a message that it returns is read again
        if self._member.rebalances != batch.rebalances:
            self._dead_letters.discard()
            self._member.has_start_offsets = False  # the poll above may have dropped a message
            self._resume("the partitions have changed")
        elif self._dead_letters.flush(_POLL_S):
            self._metrics.add("dead_letters_total", len(batch.dead_letters))
            self._count(batch)
            if not self._is_journal_down:
                self._member.start_reading()
                self._resume("the dead letters are acknowledged")
        else:
            self._health.blocked_by = self._dead_letters.problem

    def _resume(self, reason: str) -> None:
        self._waiting = None
        self._health.blocked_by = ""
        self._log.write(f"Kafka reading continues: {reason}")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
        if error.code() in _OFFSET_GONE:
            self._member.has_start_offsets = False
        self._log.write_throttled("Kafka error", error, self._hint(error))

    def _hint(self, error: KafkaError) -> str:
        """Return the ACL that is missing, or what was tried: a broker that closes the connection only seems down."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # public by use
            return acl_of_the_consumer(error, self._settings.topics, self._settings.group_id)
        protocol = self._settings.kafka.get("security.protocol", "PLAINTEXT")
        return (
            f"; tried {self._settings.kafka_bootstrap} with {protocol}. If there is no other error, the broker closes "
            "the connection: it may expect another KAFKA_SECURITY_PROTOCOL"
        )

    def _on_statistics(self, document: str) -> None:
        statistics = msgspec.json.decode(document, type=_Statistics)
        self._metrics.set_end_offsets(
            {
                (topic, int(number)): partition.hi_offset
                for topic, state in statistics.topics.items()
                for number, partition in state.partitions.items()
                if partition.hi_offset >= 0
            }
        )
        connected = any(broker.state == "UP" for broker in statistics.brokers.values())
        if connected != self._health.connected:
            self._health.connected = connected
            self._log.write("Kafka is connected" if connected else "Kafka is not connected, trying again")
