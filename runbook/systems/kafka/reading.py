"""Events read up to an exact end: what is still missing, and what librdkafka's messages say."""

from collections import deque
from collections.abc import Mapping
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, Message

from runbook.errors import FOREIGN
from runbook.platforms import utc
from runbook.systems.kafka.content import content_of
from runbook.systems.kafka.records import CrmEvent, Position

_BATCH: Final = 500
_KEPT: Final = 20


class Reading:
    """What is still to be read: `open` holds the end offset of each partition that has not reached it."""

    def __init__(self, between: Mapping[Position, tuple[int, int]]) -> None:
        self.between = between
        self.open = {position: end for position, (_, end) in between.items()}
        self.events: list[CrmEvent] = []
        self.said: deque[KafkaError] = deque(maxlen=_KEPT)

    def take(self, message: Message) -> None:
        """Keep an event that was asked for, and note how far its partition has been read."""
        position, offset = position_of(message), message.offset() or 0
        if position in self.open and offset < self.open[position]:
            self.events.append(_event(message))
        self.reached(position, offset + 1)

    def reached(self, position: Position, next_offset: int) -> None:
        """Note that everything before an offset has been seen, gaps included."""
        if next_offset >= self.open.get(position, next_offset + 1):
            del self.open[position]


def batch(consumer: Consumer, wait_s: float) -> list[Message]:
    """Return what has arrived: `consume` alone would wait for a full batch."""
    first = consumer.poll(wait_s)
    return [] if first is None else [first, *consumer.consume(_BATCH - 1, 0)]


def position_of(message: Message) -> Position:
    """Return topic and partition of a message."""
    return message.topic() or "", message.partition() or 0


def _event(message: Message) -> CrmEvent:
    topic, partition = position_of(message)
    raw = message.value()
    return CrmEvent(
        topic=topic,
        partition=partition,
        offset=message.offset() or 0,
        key=(message.key() or b"").decode("utf-8", errors="replace"),
        at=moment(*message.timestamp()),
        content=content_of(raw),
        raw=raw or b"",
    )


def moment(kind: int, epoch_ms: int) -> datetime | None:
    """Return the time of a message; None where it has none, or one that no clock shows: producers write any."""
    try:
        at = utc(epoch_ms / 1000)
    except FOREIGN:
        return None
    return None if kind == TIMESTAMP_NOT_AVAILABLE or at.year in {MINYEAR, MAXYEAR} else at
