"""At which offset the counting of a partition starts when it is assigned to this member."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from sink.journal.model import Journal, Partition, Position
from sink.log_writer import LogWriter
from sink.properties import Properties
from sink.topic_ids import topic_ids

_TIMEOUT_S: Final = 3.0  # for each of Kafka's answers
_RECREATED: Final = "the topic was recreated"

TopicIdAndEpoch = tuple[str, int]
"""They change when the offsets of a partition begin to mean other messages; the id is empty if it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionOffsets:
    """What Kafka knows of a partition; `committed` is None if the group has no commit there."""

    committed: int | None
    earliest: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOffset:
    """Where to start, a note for the log, and how many offsets before it Kafka deleted before they were counted."""

    position: Position
    note: str = ""
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentFacts:
    """What Kafka knows of an assignment. Cluster and topic ids are empty or missing if Kafka does not tell them."""

    cluster: str
    topic_ids: Mapping[str, str]  # by topic
    offsets: Mapping[Partition, PartitionOffsets]

    def commits(self) -> dict[Partition, int]:
        """Return the commits that there are."""
        return {p: offsets.committed for p, offsets in self.offsets.items() if offsets.committed is not None}


def assignment_facts(kafka: Consumer, properties: Properties, partitions: Sequence[TopicPartition]) -> AssignmentFacts:
    """Ask Kafka. Raises KafkaException."""
    committed = known_offsets(kafka.committed(list(partitions), timeout=_TIMEOUT_S))
    earliest, end = (_offsets_at(kafka, partitions, timestamp) for timestamp in (OFFSET_BEGINNING, OFFSET_END))
    metadata = kafka.list_topics(partitions[0].topic, timeout=_TIMEOUT_S)
    has_controller = metadata.controller_id in metadata.brokers  # the mock broker has none, and would not answer
    return AssignmentFacts(
        cluster=metadata.cluster_id or "",
        topic_ids=topic_ids(properties, {p.topic for p in partitions}, _TIMEOUT_S) if has_controller else {},
        offsets={
            p: PartitionOffsets(committed=committed.get(p), earliest=first, end=end.get(p, first))
            for p, first in earliest.items()
        },
    )


def _offsets_at(kafka: Consumer, partitions: Sequence[TopicPartition], timestamp: int) -> dict[Partition, int]:
    """Return offsets by timestamp. OFFSET_BEGINNING and OFFSET_END are valid ones: Kafka protocol, ListOffsets."""
    asked = [TopicPartition(p.topic, p.partition, timestamp) for p in partitions]
    return known_offsets(kafka.offsets_for_times(asked, timeout=_TIMEOUT_S))


def known_offsets(answers: Sequence[TopicPartition]) -> dict[Partition, int]:
    """Return the offsets in Kafka's answer; a negative one means that there is none."""
    return {(p.topic, p.partition): p.offset for p in answers if p.error is None and p.offset >= 0}


def start_without_journal(offsets: PartitionOffsets, counted: int, *, recreated: bool = False) -> StartOffset:
    """Start at the commit, but never before what this process has counted itself: its last commit may have failed.

    If there is no commit any more, the topic was recreated.
    """
    if offsets.committed is None or recreated:
        note = _RECREATED if counted else ""
        return _start_at(offsets, offsets.earliest, epoch=0, cluster="", note=note)
    offset = max(offsets.committed, counted)
    if offset > offsets.end:
        return _start_at(offsets, offsets.end, epoch=0, cluster="", note=_truncated(offsets, offset))
    return _start_at(offsets, offset, epoch=0, cluster="")


def start_with_journal(
    offsets: PartitionOffsets, cluster: str, stored: Position | None, *, recreated: bool = False
) -> StartOffset:
    """Start at the journal's position, unless its offset cannot mean the messages that Kafka has now.

    Kafka's commit is used for a partition that the journal does not have. It also tells apart the two cases in which
    the journal's position is after Kafka's end: a recreated topic has no commits, a broker that lost the newest
    messages still has them. But a member that had not committed its last events when the topic was deleted has made
    that commit on the new one. So a topic that has another id than before is `recreated`, whatever is committed.
    """
    first = offsets.earliest if offsets.committed is None else offsets.committed
    if stored is None:
        return _start_at(offsets, first, epoch=0, cluster=cluster)
    if cluster and stored.cluster and cluster != stored.cluster:
        return _start_at(
            offsets,
            first,
            epoch=stored.epoch + 1,
            cluster=cluster,
            note="counted before in another cluster, now from its start in this one",
        )
    if recreated:
        return _start_at(offsets, offsets.earliest, epoch=stored.epoch + 1, cluster=cluster, note=_RECREATED)
    if stored.next_offset <= offsets.end:
        return _start_at(offsets, stored.next_offset, epoch=stored.epoch, cluster=cluster or stored.cluster)
    if offsets.committed is None:
        return _start_at(offsets, first, epoch=stored.epoch + 1, cluster=cluster, note=_RECREATED)
    note = _truncated(offsets, stored.next_offset)
    return _start_at(offsets, offsets.end, epoch=stored.epoch + 1, cluster=cluster, note=note)


def _truncated(offsets: PartitionOffsets, counted: int) -> str:
    return f"Kafka lost its newest messages: they end at {offsets.end}, counted was up to {counted}"


def _start_at(offsets: PartitionOffsets, offset: int, *, epoch: int, cluster: str, note: str = "") -> StartOffset:
    if offset < offsets.earliest:
        note = f"Kafka deleted offsets {offset} to {offsets.earliest - 1} before they were counted"
    return StartOffset(
        position=Position(next_offset=max(offset, offsets.earliest), epoch=epoch, cluster=cluster),
        note=note,
        lost=max(0, offsets.earliest - offset),
    )


class StartOffsets:
    """Finds the start offsets with a journal or without one, and stores those that differ from the journal's."""

    def __init__(self, kafka: Consumer, properties: Properties, journal: Journal | None, log: LogWriter) -> None:
        self._kafka = kafka
        self._properties = properties
        self._journal = journal
        self._log = log
        self.commits: dict[Partition, int] = {}  # that Kafka had at the last call
        self._seen: dict[Partition, TopicIdAndEpoch] = {}  # at the last assignment of each partition

    def find(
        self, partitions: Sequence[TopicPartition], counted: Mapping[Partition, int]
    ) -> dict[Partition, StartOffset]:
        """Return where to start. Raises JournalUnavailableError, FencedError, KafkaException.

        Without a journal nothing is returned while Kafka does not answer: then librdkafka starts at the commits. With
        one nothing can be read until both have answered.
        """
        try:
            facts = assignment_facts(self._kafka, self._properties, partitions)
        except KafkaException as error:
            if self._journal is not None:
                raise
            self._log.write_throttled("Kafka did not answer where to start, librdkafka finds out", error.args[0])
            return {}
        self.commits = facts.commits()
        if self._journal is None:
            starts = {
                p: start_without_journal(offsets, counted.get(p, 0), recreated=self._is_recreated(p, facts, epoch=0))
                for p, offsets in facts.offsets.items()
            }
        elif len(facts.offsets) < len(partitions):
            raise KafkaException(KafkaError(KafkaError._PARTIAL, "the answer lacks partitions"))  # noqa: SLF001  # public by use
        else:
            starts = self._stored_starts(self._journal, facts)
        for (topic, number), start in starts.items():
            self._seen[topic, number] = facts.topic_ids.get(topic, ""), start.position.epoch
            if start.note:
                self._log.write(f"{topic} partition {number}: {start.note}")
        return starts

    def _stored_starts(self, journal: Journal, facts: AssignmentFacts) -> dict[Partition, StartOffset]:
        stored = journal.positions(facts.offsets)
        starts = {
            p: start_with_journal(
                offsets,
                facts.cluster,
                stored.get(p),
                recreated=p in stored and self._is_recreated(p, facts, epoch=stored[p].epoch),
            )
            for p, offsets in facts.offsets.items()
        }
        changed = {p: (stored.get(p), s.position) for p, s in starts.items() if s.position != stored.get(p)}
        journal.set_positions(changed)
        return starts

    def _is_recreated(self, partition: Partition, facts: AssignmentFacts, *, epoch: int) -> bool:
        return is_recreated(self._seen.get(partition), (facts.topic_ids.get(partition[0], ""), epoch))


def is_recreated(seen: TopicIdAndEpoch | None, now: TopicIdAndEpoch) -> bool:
    """Say whether the topic has another id than at our last assignment, and no other member has noticed that yet."""
    if seen is None:
        return False
    (old_id, old_epoch), (new_id, epoch) = seen, now
    return bool(old_id and new_id) and old_id != new_id and old_epoch == epoch
