"""Our place in the consumer group: which partitions are ours, and what Kafka remembers of our counting."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from sink.health import Pulse
from sink.log_lines import LogLines
from sink.metrics import Metrics, Partition
from sink.properties import Properties

Callbacks = Mapping[str, Callable[..., None]]
"""librdkafka's callbacks by the name of their property."""

_LOOKUP_S: Final = 3.0  # for the answers about where an assignment starts
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
        metrics: Metrics,
        pulse: Pulse,
        log: LogLines,
    ) -> None:
        self.kafka = Consumer({**properties, **callbacks, "on_commit": self._on_commit})
        self.rebalances = 0  # how often the partitions have changed
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

    def start_reading(self) -> None:
        """Read each of our partitions from its next offset to count, paused or not before.

        The pause is ended for every new assignment, too: librdkafka remembers it over a rebalance, and would read
        nothing from a partition that comes back to us.
        """
        if not self._partitions:
            return
        next_offsets = self._metrics.next_offsets()
        self.kafka.assign([TopicPartition(*p, next_offsets.get(p, OFFSET_INVALID)) for p in self._partitions])
        self.kafka.resume(self._ours())

    def pause(self) -> None:
        """Read nothing until `start_reading`. Paused, yet still polling: the group keeps us as a member."""
        self.kafka.pause(self._ours())

    def positions(self) -> dict[Partition, int]:
        """Return the offsets after the messages fetched last: one call, where offset() per message costs 10 %."""
        return _known(self.kafka.position(self._ours()))

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
        again = sum(p.offset - self._committed.get((p.topic, p.partition), 0) for p in self._uncommitted())
        self._log.say(f"Kafka commit failed, up to {again} events may be counted again by the next member: {reason}")

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = error or next((p.error for p in partitions if p.error), None)
        if failed:
            self._log.repeat("Kafka commit failed, it is tried again", failed)
        else:
            self._committed.update(_known(partitions))

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        starts = self._starts(partitions)
        self.rebalances += 1
        self._partitions = [(p.topic, p.partition) for p in partitions]
        self._metrics.assign(len(partitions), starts)
        self.commit()
        self.start_reading()
        self._pulse.assigned, self._pulse.connected = len(partitions), True
        self._log.say(f"Kafka assigned {len(partitions)} partitions")

    def _starts(self, partitions: list[TopicPartition]) -> dict[Partition, int]:
        """Return where each partition starts: at its earliest message, or where its counting has come to.

        Looked up here, because `crm_events_next_offset` must be known before the first message. A partition that had no
        commit gets one at once. What this process has counted itself is not counted again, also if the commit was
        refused; unless the commit is gone, for then the topic is a new one.
        """
        try:
            self._committed = _known(self.kafka.committed(partitions, timeout=_LOOKUP_S))
            # A timestamp of -2 asks for the earliest offset: Kafka protocol, ListOffsets.
            question = [TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in partitions]
            earliest = _known(self.kafka.offsets_for_times(question, timeout=_LOOKUP_S))
        except KafkaException as error:
            self._log.repeat("Kafka did not say where to start, librdkafka finds out", error.args[0])
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

    def _on_revoke(self, member: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit and wait: after this the partitions are another member's."""
        request = self._uncommitted()
        if request and not self._leaving:
            try:
                self._on_commit(None, self.kafka.commit(offsets=request, asynchronous=False))
            except KafkaException as error:
                self._say_uncommitted(error.args[0].str())
        self._on_lost(member, partitions)

    def _on_lost(self, _: Consumer, __: list[TopicPartition]) -> None:
        """Forget the assignment. When it is lost, another member may have committed by now: we commit nothing."""
        self._log.say(f"Kafka took back {len(self._partitions)} partitions")
        self.rebalances += 1
        self._counted.update(self._metrics.next_offsets())
        self._partitions = []
        self._metrics.assign(0, {})
        self._pulse.assigned = 0


def _known(answers: list[TopicPartition]) -> dict[Partition, int]:
    """Return the offsets that Kafka has told; where there is none it tells a negative one."""
    return {(p.topic, p.partition): p.offset for p in answers if p.error is None and p.offset >= 0}
