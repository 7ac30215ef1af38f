"""Where the counting of a partition starts when it is assigned to us."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from sink.journal.model import Journal, Partition, Position
from sink.log_lines import LogLines
from sink.properties import Properties
from sink.topic_ids import topic_ids

_LOOKUP_S: Final = 3.0  # for each of Kafka's answers
_MADE_ANEW: Final = "the topic was made anew"

Identity = tuple[str, int]
"""What the offsets of a partition mean: the topic's id, empty if it is not known, and the journal's epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """What Kafka knows of a partition; `committed` is None when the group has no commit there."""

    committed: int | None
    earliest: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A place to start, what there is to say about it, and how many offsets Kafka deleted uncounted before it."""

    position: Position
    remark: str = ""
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaFacts:
    """What Kafka knows of an assignment; the ids of the cluster and, by name, of the topics as far as it tells them."""

    cluster: str
    topic_ids: Mapping[str, str]
    offsets: Mapping[Partition, Offsets]

    def commits(self) -> dict[Partition, int]:
        """Return the commits there are."""
        return {p: known.committed for p, known in self.offsets.items() if known.committed is not None}


def kafka_facts(kafka: Consumer, properties: Properties, partitions: Sequence[TopicPartition]) -> KafkaFacts:
    """Ask Kafka. Raises KafkaException."""
    committed = known_offsets(kafka.committed(list(partitions), timeout=_LOOKUP_S))
    ends = []
    for place in (OFFSET_BEGINNING, OFFSET_END):  # as a timestamp they ask for these: Kafka protocol, ListOffsets
        question = [TopicPartition(p.topic, p.partition, place) for p in partitions]
        ends.append(known_offsets(kafka.offsets_for_times(question, timeout=_LOOKUP_S)))
    metadata = kafka.list_topics(partitions[0].topic, timeout=_LOOKUP_S)
    has_controller = metadata.controller_id in metadata.brokers  # else ids are waited for in vain: the mock broker
    return KafkaFacts(
        cluster=metadata.cluster_id or "",
        topic_ids=topic_ids(properties, {p.topic for p in partitions}, _LOOKUP_S) if has_controller else {},
        offsets={
            p: Offsets(committed=committed.get(p), earliest=first, end=ends[1].get(p, first))
            for p, first in ends[0].items()
        },
    )


def known_offsets(answers: Sequence[TopicPartition]) -> dict[Partition, int]:
    """Return the offsets that Kafka has told; where there is none it tells a negative one."""
    return {(p.topic, p.partition): p.offset for p in answers if p.error is None and p.offset >= 0}


def start_without_journal(known: Offsets, counted: int, *, made_anew: bool = False) -> Start:
    """Start at the commit, but never before what this process has counted itself.

    Its commit may have been refused. When the commit is gone altogether, the topic is a new one.
    """
    if known.committed is None or made_anew:
        remark = _MADE_ANEW if counted else ""
        return _from(known, known.earliest, epoch=0, cluster="", remark=remark)
    offset = max(known.committed, counted)
    if offset > known.end:
        return _from(known, known.end, epoch=0, cluster="", remark=_end_is_lost(known, offset))
    return _from(known, offset, epoch=0, cluster="")


def start_with_journal(known: Offsets, cluster: str, stored: Position | None, *, made_anew: bool = False) -> Start:
    """Start where the journal says, unless its offsets cannot mean the messages that Kafka has now.

    Kafka's commit is advice for a partition that is new to the journal. It also tells two cases apart in which the
    journal is past Kafka's end: a topic that was deleted took its commits along, a broker that lost the newest
    messages did not. But a member that had not committed its last events when the topic was deleted has put that
    commit on the new one; so a topic that has another id than before (`made_anew`) is new, whatever is committed.
    """
    first = known.earliest if known.committed is None else known.committed
    if stored is None:
        return _from(known, first, epoch=0, cluster=cluster)
    if cluster and stored.cluster and cluster != stored.cluster:
        return _from(
            known,
            first,
            epoch=stored.epoch + 1,
            cluster=cluster,
            remark="counted before in another cluster, now from its start here",
        )
    if made_anew:
        return _made_anew(known, known.earliest, cluster, stored)
    if stored.next_offset <= known.end:
        return _from(known, stored.next_offset, epoch=stored.epoch, cluster=cluster or stored.cluster)
    if known.committed is None:
        return _made_anew(known, first, cluster, stored)
    remark = _end_is_lost(known, stored.next_offset)
    return _from(known, known.end, epoch=stored.epoch + 1, cluster=cluster, remark=remark)


def _made_anew(known: Offsets, first: int, cluster: str, stored: Position) -> Start:
    return _from(known, first, epoch=stored.epoch + 1, cluster=cluster, remark=_MADE_ANEW)


def _end_is_lost(known: Offsets, offset: int) -> str:
    return f"Kafka lost its newest messages: they end at {known.end}, counted was up to {offset}"


def _from(known: Offsets, offset: int, *, epoch: int, cluster: str, remark: str = "") -> Start:
    if offset < known.earliest:
        remark = f"Kafka deleted offsets {offset} to {known.earliest - 1} before they were counted"
    return Start(
        position=Position(next_offset=max(offset, known.earliest), epoch=epoch, cluster=cluster),
        remark=remark,
        lost=max(0, known.earliest - offset),
    )


class Starts:
    """Decides with a journal or without one, and keeps the journal's positions in step with the decision."""

    def __init__(self, kafka: Consumer, properties: Properties, journal: Journal | None, log: LogLines) -> None:
        self._kafka = kafka
        self._properties = properties
        self._journal = journal
        self._log = log
        self.commits: dict[Partition, int] = {}  # what Kafka remembers
        self._seen: dict[Partition, Identity] = {}  # at the last start

    def of(self, partitions: Sequence[TopicPartition], counted: Mapping[Partition, int]) -> dict[Partition, Start]:
        """Return where to start. Raises JournalAwayError, OvertakenError, KafkaException.

        Without a journal none is returned while Kafka does not answer: then librdkafka finds out. With one nothing can
        be read until both have answered.
        """
        try:
            facts = kafka_facts(self._kafka, self._properties, partitions)
        except KafkaException as error:
            if self._journal is not None:
                raise
            self._log.repeat("Kafka did not say where to start, librdkafka finds out", error.args[0])
            return {}
        self.commits = facts.commits()
        if self._journal is None:
            starts = {
                p: start_without_journal(known, counted.get(p, 0), made_anew=self._is_made_anew(p, facts, epoch=0))
                for p, known in facts.offsets.items()
            }
        elif len(facts.offsets) < len(partitions):
            raise KafkaException(KafkaError(KafkaError._PARTIAL, "it left out partitions"))  # noqa: SLF001  # public by use
        else:
            stored = self._journal.positions(facts.offsets)
            starts = {
                p: start_with_journal(
                    known,
                    facts.cluster,
                    stored.get(p),
                    made_anew=p in stored and self._is_made_anew(p, facts, epoch=stored[p].epoch),
                )
                for p, known in facts.offsets.items()
            }
            changed = {p: (stored.get(p), s.position) for p, s in starts.items() if s.position != stored.get(p)}
            self._journal.place(changed)
        for (topic, number), start in starts.items():
            self._seen[topic, number] = facts.topic_ids.get(topic, ""), start.position.epoch
            if start.remark:
                self._log.say(f"{topic} partition {number}: {start.remark}")
        return starts

    def _is_made_anew(self, partition: Partition, facts: KafkaFacts, *, epoch: int) -> bool:
        return is_made_anew(self._seen.get(partition), (facts.topic_ids.get(partition[0], ""), epoch))


def is_made_anew(seen: Identity | None, now: Identity) -> bool:
    """Say whether the topic is another one than when we had this partition, and no other member has found out yet."""
    if seen is None:
        return False
    (old_id, old_epoch), (new_id, epoch) = seen, now
    return bool(old_id and new_id) and old_id != new_id and old_epoch == epoch
