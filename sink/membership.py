"""Membership in the consumer group: which partitions are assigned, and what is committed to Kafka."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from sink.health import Health
from sink.journal.model import Journal, Partition
from sink.log_writer import LogWriter
from sink.metrics import Metrics
from sink.properties import Properties, is_cooperative
from sink.start_offsets import StartOffsets, known_offsets

Callbacks = Mapping[str, Callable[..., None]]
"""Callbacks of librdkafka, by the name of their property."""

_LAST_COMMIT_S: Final = 1.0


class KafkaUnavailableError(Exception):
    """Kafka has not answered the last commit; closing the client would take long."""


class Membership:
    """A member of the group. Raises KafkaException if librdkafka refuses a property.

    The next offsets to count are in `Metrics`, where they change together with the counters. Every method runs in the
    thread of the poll loop; librdkafka calls its callbacks from within poll, consume, commit and close.
    """

    def __init__(
        self,
        properties: Properties,
        callbacks: Callbacks,
        *,
        journal: Journal | None,
        metrics: Metrics,
        health: Health,
        log: LogWriter,
    ) -> None:
        self.kafka = Consumer({**properties, **callbacks, "on_commit": self._on_commit})
        self.rebalances = 0  # how often the assignment has changed
        self.epochs: dict[Partition, int] = {}  # in the journal, of the assigned partitions
        self.has_start_offsets = True  # for all assigned partitions
        self._start_offsets = StartOffsets(self.kafka, properties, journal, log)
        self._has_journal = journal is not None
        self._is_cooperative = is_cooperative(properties)
        self._metrics = metrics
        self._health = health
        self._log = log
        self._assigned: list[Partition] = []
        self._committed: dict[Partition, int] = {}  # that Kafka has acknowledged
        self._counted: dict[Partition, int] = {}  # next offsets to count, of earlier assignments
        self._leaving = False

    def join(self, topics: list[str]) -> None:
        """Subscribe to these topics; partitions are assigned later, during a poll."""
        self.kafka.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def find_start_offsets(self) -> None:
        """Find out at which offset each assigned partition starts, commit it, and read from there.

        So `crm_events_next_offset` is known before the first message. Not in the callback: `list_topics` in it would
        end the process (confluent_kafka 2.16: "CallState_get: Assertion `cs != NULL' failed").
        Raises JournalUnavailableError, FencedError, and with a journal KafkaException.
        """
        self._counted.update(self._metrics.next_offsets())
        starts = self._start_offsets.find(self._topic_partitions(), self._counted)
        self.has_start_offsets = True
        self.epochs = {partition: start.position.epoch for partition, start in starts.items()}
        self._committed = self._start_offsets.commits
        next_offsets = {partition: start.position.next_offset for partition, start in starts.items()}
        lost = Counter[str]()
        for (topic, _), start in starts.items():
            lost[topic] += start.lost
        self._metrics.set_assignment(len(self._assigned), next_offsets, lost)
        self.commit()
        self.start_reading()
        self._health.assigned = len(self._assigned)

    def start_reading(self) -> None:
        """Read each assigned partition from its next offset to count, whether it was paused or not.

        Every new assignment is resumed, too: librdkafka keeps the pause over a rebalance, and would read nothing from a
        partition that is assigned again.
        """
        next_offsets = self._metrics.next_offsets()
        starts = [TopicPartition(*p, next_offsets.get(p, OFFSET_INVALID)) for p in self._assigned]
        if self._is_cooperative:
            self.kafka.incremental_unassign(self.kafka.assignment())
            self.kafka.incremental_assign(starts)
        else:
            self.kafka.assign(starts)
        self.kafka.resume(self._topic_partitions())

    def pause(self) -> None:
        """Read nothing until `start_reading`. Paused, yet still polling: the group keeps us as a member."""
        self.kafka.pause(self._topic_partitions())

    def fetched_offsets(self) -> dict[Partition, int]:
        """Return the offsets after the last fetched messages, in one call: offset() of each message takes 10 %."""
        return known_offsets(self.kafka.position(self._topic_partitions()))

    def commit(self) -> None:
        """Commit what was counted since the last commit; `_on_commit` gets the answer."""
        if request := self._uncommitted():
            try:
                self.kafka.commit(offsets=request, asynchronous=True)
            except KafkaException as error:
                self._log.write_throttled("Kafka commit failed, trying again", error.args[0])

    def leave(self) -> None:
        """Commit and leave the group. Raises KafkaUnavailableError if the commit is not answered.

        A synchronous commit and close() both wait until the session times out if no broker answers. So the last commit
        is asynchronous, too, and this waits for its answer.
        """
        self._leaving = True
        self.commit()
        until = time.monotonic() + _LAST_COMMIT_S
        while self._uncommitted() and time.monotonic() < until:
            self.kafka.poll(0.05)  # a message that it returns is not counted, hence not committed
        if self._uncommitted():
            self._log_uncommitted("no answer")
            raise KafkaUnavailableError("Kafka has not answered the last commit")
        self.kafka.close()

    def _topic_partitions(self) -> list[TopicPartition]:
        return [TopicPartition(*partition) for partition in self._assigned]

    def _uncommitted(self) -> list[TopicPartition]:
        """Return the next offsets to count that are not committed yet."""
        next_offsets = self._metrics.next_offsets()
        return [TopicPartition(*p, offset) for p, offset in next_offsets.items() if offset != self._committed.get(p)]

    def _log_uncommitted(self, reason: str) -> None:
        if self._has_journal:
            self._log.write(f"Kafka commit failed, tools show a lag; the journal has the positions: {reason}")
            return
        again = sum(p.offset - self._committed.get((p.topic, p.partition), 0) for p in self._uncommitted())
        self._log.write(f"Kafka commit failed, up to {again} events may be counted again by the next member: {reason}")

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = error or next((p.error for p in partitions if p.error), None)
        if failed:
            self._log.write_throttled("Kafka commit failed, trying again", failed)
        else:
            self._committed.update(known_offsets(partitions))

    def _on_assign(self, kafka: Consumer, partitions: list[TopicPartition]) -> None:
        """Note the partitions, and read nothing from them until `find_start_offsets`.

        A cooperative rebalance adds them to those that stay. Messages of these that were fetched and not counted are
        dropped, too: all partitions are read again from the counted offsets.
        """
        self.rebalances += 1
        if self._is_cooperative:
            self._counted.update(self._metrics.next_offsets())
            kafka.incremental_assign(partitions)
            kafka.pause(partitions)
        else:
            self._assigned = []
            kafka.assign([])
        self._assigned += [(p.topic, p.partition) for p in partitions]
        self.has_start_offsets = not self._assigned
        self._health.connected = True
        self._log.write(f"Kafka assigned {len(partitions)} partitions")

    def _on_revoke(self, member: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit and wait for the answer: after this another member has the partitions."""
        request = self._uncommitted()
        if request and not self._leaving:
            try:
                self._on_commit(None, self.kafka.commit(offsets=request, asynchronous=False))
            except KafkaException as error:
                self._log_uncommitted(error.args[0].str())
        self._on_lost(member, partitions)

    def _on_lost(self, kafka: Consumer, partitions: list[TopicPartition]) -> None:
        """Forget these partitions, and commit nothing: if they are lost, another member may have committed by now."""
        self._log.write(f"Kafka revoked {len(partitions)} partitions")
        self.rebalances += 1
        self._counted.update(self._metrics.next_offsets())
        gone = {(p.topic, p.partition) for p in partitions}
        if self._is_cooperative:
            kafka.incremental_unassign([p for p in kafka.assignment() if (p.topic, p.partition) in gone])
        self._assigned = [p for p in self._assigned if p not in gone]
        self.has_start_offsets = not self._assigned
        remaining = {p: offset for p, offset in self._metrics.next_offsets().items() if p not in gone}
        self._metrics.set_assignment(len(self._assigned), remaining)
        self._health.assigned = len(self._assigned)
