"""What the loop fetches at once, decoded: the unit that is counted, or not, as a whole."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import cast

from confluent_kafka import KafkaError, Message

from sink.dead_letters import DeadLetter
from sink.decoding import Decoded, Reason, decode_batch
from sink.journal.model import Entry, Partition, Stretch
from sink.log_lines import Received


@dataclass(slots=True, kw_only=True)
class Batch:
    """Decoded messages, and the offsets after them."""

    rebalances: int  # of the member, when the first of them was fetched
    fetched_at: float = field(default_factory=time.monotonic)
    received: list[Received] = field(default_factory=list)  # only if their log lines are wanted
    tenants: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # events by topic and tenant
    letters: list[DeadLetter] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)  # only if they are kept
    next_offsets: dict[Partition, int] = field(default_factory=dict)

    def ingested(self) -> dict[tuple[str, str], int]:
        """Return how many events there are, by tenant and topic."""
        return {(tenant, topic): count for topic, counts in self.tenants.items() for tenant, count in counts.items()}

    def rejected(self) -> Counter[tuple[str, Reason]]:
        """Count what is no event, by topic and reason."""
        return Counter((letter.message.topic() or "", letter.reason) for letter in self.letters)

    def add(
        self, messages: Sequence[Message], *, log: bool, keep: bool, on_error: Callable[[KafkaError], None]
    ) -> None:
        """Decode messages; an error of Kafka among them is told to `on_error`, and is no message.

        Here each event costs its share of the whole pace, so columns are taken by calls that run in C.
        """
        values = list(map(Message.value, messages))
        decoded = decode_batch(values)
        errors = [error for index in decoded.rejected if (error := messages[index].error()) is not None]
        if errors:  # an error's text is its value, and is never an event
            for error in errors:
                on_error(error)
            self.add([m for m in messages if m.error() is None], log=log, keep=keep, on_error=on_error)
            return
        self.letters += [DeadLetter(message=messages[index], reason=r) for index, r in decoded.rejected.items()]
        topics = cast("list[str]", list(map(Message.topic, messages)))
        tenants = decoded.tenants()
        self._count(topics, tenants, decoded.rejected)
        if log:
            self.received.append(Received(types=decoded.types(), tenants=tenants))
        if keep:
            self.stretches += _stretches(messages, topics, values, decoded)

    def _count(self, topics: Sequence[str], tenants: Sequence[str], rejected: Mapping[int, Reason]) -> None:
        """Count the events; those of one fetch are mostly of one topic."""
        if _is_one(topics):
            self.tenants[topics[0]].update(tenants)
            return
        good = (topic for index, topic in enumerate(topics) if index not in rejected)
        for topic, tenant in zip(good, tenants, strict=True):
            self.tenants[topic][tenant] += 1

    def entry(self, before: Mapping[Partition, int], epochs: Mapping[Partition, int]) -> Entry:
        """Return what a journal writes, for counting that had come to `before`."""
        moves = {p: (before[p], high) for p, high in self.next_offsets.items() if high != before.get(p, high)}
        stretches = [replace(s, epoch=epochs.get((s.topic, s.partition), 0)) for s in self.stretches]
        return Entry(moves=moves, ingested=self.ingested(), rejected=self.rejected(), stretches=stretches)


def _stretches(
    messages: Sequence[Message], topics: Sequence[str], values: Sequence[bytes | None], decoded: Decoded
) -> Iterator[Stretch]:
    """Put the columns together, one stretch for each run of messages of a partition."""
    tenants: list[str | None] = [*decoded.tenants()]
    types: list[str | None] = [*_storable(decoded.types())]
    reasons: list[Reason | None] = [None] * len(messages)
    for index, reason in decoded.rejected.items():  # in ascending order
        tenants.insert(index, None)
        types.insert(index, None)
        reasons[index] = reason
    offsets = cast("list[int]", list(map(Message.offset, messages)))
    keys = cast("list[bytes | None]", list(map(Message.key, messages)))
    start = 0
    for (topic, partition), length in _runs(topics, cast("list[int]", list(map(Message.partition, messages)))):
        run = slice(start, start + length)
        start += length
        yield Stretch(
            topic=topic,
            partition=partition,
            offsets=offsets[run],
            tenants=tenants[run],
            types=types[run],
            reasons=reasons[run],
            keys=keys[run],
            values=values[run],
        )


def _storable(types: Sequence[str]) -> Sequence[str]:
    """Replace the character NUL: PostgreSQL's text cannot hold it. A tenant has none, for it is checked."""
    if not any("\0" in event_type for event_type in set(types)):
        return types
    return [event_type.replace("\0", "\ufffd") for event_type in types]


def _runs(topics: Sequence[str], partitions: Sequence[int]) -> Iterator[tuple[Partition, int]]:
    """Return the partitions in their order, and how many messages each has in a row; mostly it is one."""
    if _is_one(topics) and _is_one(partitions):
        yield (topics[0], partitions[0]), len(topics)
    else:
        for place, run in groupby(zip(topics, partitions, strict=True)):
            yield place, len(list(run))


def _is_one(column: Sequence[object]) -> bool:
    """Say whether all are the same; nothing is not."""
    return bool(column) and column.count(column[0]) == len(column)
