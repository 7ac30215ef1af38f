"""Our place in the consumer group: which partitions are ours, and what Kafka remembers of our counting."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from sink.health import Pulse
from sink.journal.model import Journal, Partition
from sink.log_lines import LogLines
from sink.metrics import Metrics
from sink.properties import Properties, is_cooperative
from sink.starts import Starts, known_offsets

Callbacks = Mapping[str, Callable[..., None]]
"""librdkafka's callbacks by the name of their property."""

_LAST_COMMIT_S: Final = 1.0


class KafkaAwayError(Exception):
    """Kafka has not taken the last commit; its client cannot be closed without a long wait."""


class Membership:
    """The member. Raises KafkaException if librdkafka refuses a property.

    The next offsets themselves live in `Metrics`, where they move together with the counters. Every method runs in the
    thread of the loop; librdkafka calls back from within poll, consume, commit and close.
    """

    def __init__(
        self,
        properties: Properties,
        callbacks: Callbacks,
        *,
        journal: Journal | None,
        metrics: Metrics,
        pulse: Pulse,
        log: LogLines,
    ) -> None:
        self.kafka = Consumer({**properties, **callbacks, "on_commit": self._on_commit})
        self.rebalances = 0  # how often the partitions have changed
        self.epochs: dict[Partition, int] = {}  # of our partitions, as the journal has them
        self.located = True  # it is known where our partitions start
        self._starts = Starts(self.kafka, properties, journal, log)
        self._has_journal = journal is not None
        self._is_cooperative = is_cooperative(properties)
        self._metrics = metrics
        self._pulse = pulse
        self._log = log
        self._partitions: list[Partition] = []
        self._committed: dict[Partition, int] = {}  # what Kafka remembers
        self._counted: dict[Partition, int] = {}  # the next offsets of assignments that have ended
        self._leaving = False

    def join(self, topics: list[str]) -> None:
        """Ask for partitions of these topics; they come later, during a poll."""
        self.kafka.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def locate(self) -> None:
        """Find out where our partitions start, and read from there.

        Here, so that `crm_events_next_offset` is known before the first message; and not in the callback, within which
        `list_topics` would end the process (confluent_kafka 2.16: "CallState_get: Assertion `cs != NULL' failed").
        Raises JournalAwayError, OvertakenError, and with a journal KafkaException. A partition that had no commit gets
        one at once.
        """
        self._counted.update(self._metrics.next_offsets())
        starts = self._starts.of(self._ours(), self._counted)
        self.located = True
        self.epochs = {partition: start.position.epoch for partition, start in starts.items()}
        self._committed = self._starts.commits
        next_offsets = {partition: start.position.next_offset for partition, start in starts.items()}
        lost = Counter[str]()
        for (topic, _), start in starts.items():
            lost[topic] += start.lost
        self._metrics.assign(len(self._partitions), next_offsets, lost)
        self.commit()
        self.start_reading()
        self._pulse.assigned = len(self._partitions)

    def start_reading(self) -> None:
        """Read each of our partitions from its next offset to count, paused or not before.

        The pause is ended for every new assignment, too: librdkafka remembers it over a rebalance, and would read
        nothing from a partition that comes back to us.
        """
        next_offsets = self._metrics.next_offsets()
        ours = [TopicPartition(*p, next_offsets.get(p, OFFSET_INVALID)) for p in self._partitions]
        if self._is_cooperative:
            self.kafka.incremental_unassign(self.kafka.assignment())
            self.kafka.incremental_assign(ours)
        else:
            self.kafka.assign(ours)
        self.kafka.resume(self._ours())

    def pause(self) -> None:
        """Read nothing until `start_reading`. Paused, yet still polling: the group keeps us as a member."""
        self.kafka.pause(self._ours())

    def positions(self) -> dict[Partition, int]:
        """Return the offsets after the messages fetched last: one call, where offset() per message costs 10 %."""
        return known_offsets(self.kafka.position(self._ours()))

    def commit(self) -> None:
        """Tell Kafka what was counted since the last commit; `_on_commit` gets the answer."""
        if request := self._uncommitted():
            try:
                self.kafka.commit(offsets=request, asynchronous=True)
            except KafkaException as error:
                self._log.repeat("Kafka commit failed, it is tried again", error.args[0])

    def leave(self) -> None:
        """Commit and leave the group. Raises KafkaAwayError if the commit is not answered.

        A synchronous commit and close() both wait for a broker that is away as long as the session lasts. So the last
        commit is asynchronous, too, and its answer is waited for here.
        """
        self._leaving = True
        self.commit()
        until = time.monotonic() + _LAST_COMMIT_S
        while self._uncommitted() and time.monotonic() < until:
            self.kafka.poll(0.05)  # a message that it returns is not counted, hence not committed
        if self._uncommitted():
            self._say_uncommitted("no answer")
            raise KafkaAwayError("Kafka has not taken the last commit")
        self.kafka.close()

    def _ours(self) -> list[TopicPartition]:
        return [TopicPartition(*partition) for partition in self._partitions]

    def _uncommitted(self) -> list[TopicPartition]:
        """Return the next offsets that Kafka does not remember yet."""
        next_offsets = self._metrics.next_offsets()
        return [TopicPartition(*p, offset) for p, offset in next_offsets.items() if offset != self._committed.get(p)]

    def _say_uncommitted(self, reason: str) -> None:
        if self._has_journal:
            self._log.say(f"Kafka commit failed, tools show a lag; the journal has the positions: {reason}")
            return
        again = sum(p.offset - self._committed.get((p.topic, p.partition), 0) for p in self._uncommitted())
        self._log.say(f"Kafka commit failed, up to {again} events may be counted again by the next member: {reason}")

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = error or next((p.error for p in partitions if p.error), None)
        if failed:
            self._log.repeat("Kafka commit failed, it is tried again", failed)
        else:
            self._committed.update(known_offsets(partitions))

    def _on_assign(self, kafka: Consumer, partitions: list[TopicPartition]) -> None:
        """Take the partitions, and read nothing of them until `locate`.

        Cooperatively they come beside those that we keep. Of these, too, what was fetched and not counted yet is let
        go: all of them are read again from the counted offsets.
        """
        self.rebalances += 1
        if self._is_cooperative:
            self._counted.update(self._metrics.next_offsets())
            kafka.incremental_assign(partitions)
            kafka.pause(partitions)
        else:
            self._partitions = []
            kafka.assign([])
        self._partitions += [(p.topic, p.partition) for p in partitions]
        self.located = not self._partitions
        self._pulse.connected = True
        self._log.say(f"Kafka assigned {len(partitions)} partitions")

    def _on_revoke(self, member: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit and wait: after this the partitions are another member's."""
        request = self._uncommitted()
        if request and not self._leaving:
            try:
                self._on_commit(None, self.kafka.commit(offsets=request, asynchronous=False))
            except KafkaException as error:
                self._say_uncommitted(error.args[0].str())
        self._on_lost(member, partitions)

    def _on_lost(self, kafka: Consumer, partitions: list[TopicPartition]) -> None:
        """Forget these partitions. If they are lost, another member may have committed by now: we commit nothing."""
        self._log.say(f"Kafka took back {len(partitions)} partitions")
        self.rebalances += 1
        self._counted.update(self._metrics.next_offsets())
        gone = {(p.topic, p.partition) for p in partitions}
        if self._is_cooperative:
            kafka.incremental_unassign([p for p in kafka.assignment() if (p.topic, p.partition) in gone])
        self._partitions = [p for p in self._partitions if p not in gone]
        self.located = not self._partitions
        kept = {p: offset for p, offset in self._metrics.next_offsets().items() if p not in gone}
        self._metrics.assign(len(self._partitions), kept)
        self._pulse.assigned = len(self._partitions)
