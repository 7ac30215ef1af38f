"""The messages that the loop fetches at once, decoded: they are counted together, or not at all."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import cast

from confluent_kafka import KafkaError, Message

from sink.dead_letters import DeadLetter
from sink.decoding import DecodedBatch, RejectReason, decode_batch
from sink.journal.model import JournalEntry, MessageRun, Partition
from sink.log_writer import ReceivedEvents


@dataclass(slots=True, kw_only=True)
class Batch:
    """Decoded messages, and the offsets after them."""

    rebalances: int  # that the member had seen when the first message was fetched
    fetched_at: float = field(default_factory=time.monotonic)
    received: list[ReceivedEvents] = field(default_factory=list)  # empty unless their log lines are written
    tenants: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # events by topic and tenant
    dead_letters: list[DeadLetter] = field(default_factory=list)
    message_runs: list[MessageRun] = field(default_factory=list)  # empty unless the journal stores messages
    next_offsets: dict[Partition, int] = field(default_factory=dict)

    def ingested(self) -> dict[tuple[str, str], int]:
        """Return the number of events by tenant and topic."""
        return {(tenant, topic): count for topic, counts in self.tenants.items() for tenant, count in counts.items()}

    def rejected(self) -> Counter[tuple[str, RejectReason]]:
        """Return the number of rejected messages by topic and reason."""
        return Counter((letter.message.topic() or "", letter.reason) for letter in self.dead_letters)

    def add(
        self, messages: Sequence[Message], *, log: bool, store: bool, on_error: Callable[[KafkaError], None]
    ) -> None:
        """Decode messages. Errors of Kafka come as messages, too: each is passed to `on_error`, and not counted.

        This code limits the throughput of the sink, so columns are taken by calls that run in C.
        """
        values = list(map(Message.value, messages))
        decoded = decode_batch(values)
        errors = [error for index in decoded.rejected if (error := messages[index].error()) is not None]
        if errors:  # the value of an error is its text, which is never an event
            for error in errors:
                on_error(error)
            self.add([m for m in messages if m.error() is None], log=log, store=store, on_error=on_error)
            return
        self.dead_letters += [DeadLetter(message=messages[index], reason=r) for index, r in decoded.rejected.items()]
        topics = cast("list[str]", list(map(Message.topic, messages)))
        tenants = decoded.tenants()
        self._count(topics, tenants, decoded.rejected)
        if log:
            self.received.append(ReceivedEvents(types=decoded.types(), tenants=tenants))
        if store:
            self.message_runs += _message_runs(messages, topics, values, decoded)

    def _count(self, topics: Sequence[str], tenants: Sequence[str], rejected: Mapping[int, RejectReason]) -> None:
        """Count the events. Those that were fetched at once are mostly of one topic."""
        if _all_equal(topics):
            self.tenants[topics[0]].update(tenants)
            return
        topics_of_events = (topic for index, topic in enumerate(topics) if index not in rejected)
        for topic, tenant in zip(topics_of_events, tenants, strict=True):
            self.tenants[topic][tenant] += 1

    def journal_entry(self, before: Mapping[Partition, int], epochs: Mapping[Partition, int]) -> JournalEntry:
        """Return what a journal writes; `before` are the next offsets to count before this batch."""
        moves = {p: (before[p], high) for p, high in self.next_offsets.items() if high != before.get(p, high)}
        runs = [replace(run, epoch=epochs.get((run.topic, run.partition), 0)) for run in self.message_runs]
        return JournalEntry(moves=moves, ingested=self.ingested(), rejected=self.rejected(), message_runs=runs)


def _message_runs(
    messages: Sequence[Message], topics: Sequence[str], values: Sequence[bytes | None], decoded: DecodedBatch
) -> Iterator[MessageRun]:
    """Return the columns of the messages, cut where the partition changes."""
    tenants: list[str | None] = [*decoded.tenants()]
    types: list[str | None] = [*_without_nul(decoded.types())]
    reasons: list[RejectReason | None] = [None] * len(messages)
    for index, reason in decoded.rejected.items():  # in ascending order
        tenants.insert(index, None)
        types.insert(index, None)
        reasons[index] = reason
    offsets = cast("list[int]", list(map(Message.offset, messages)))
    keys = cast("list[bytes | None]", list(map(Message.key, messages)))
    start = 0
    for (topic, partition), length in _lengths(topics, cast("list[int]", list(map(Message.partition, messages)))):
        part = slice(start, start + length)
        start += length
        yield MessageRun(
            topic=topic,
            partition=partition,
            offsets=offsets[part],
            tenants=tenants[part],
            types=types[part],
            reasons=reasons[part],
            keys=keys[part],
            values=values[part],
        )


def _without_nul(types: Sequence[str]) -> Sequence[str]:
    """Replace the character NUL, which PostgreSQL's text cannot store. A tenant with one is rejected before."""
    if not any("\0" in event_type for event_type in set(types)):
        return types
    return [event_type.replace("\0", "\ufffd") for event_type in types]


def _lengths(topics: Sequence[str], partitions: Sequence[int]) -> Iterator[tuple[Partition, int]]:
    """Return the partition and the length of each message run; mostly there is one run."""
    if _all_equal(topics) and _all_equal(partitions):
        yield (topics[0], partitions[0]), len(topics)
    else:
        for partition, run in groupby(zip(topics, partitions, strict=True)):
            yield partition, len(list(run))


def _all_equal(column: Sequence[object]) -> bool:
    """Say whether there is an item, and all others are equal to it."""
    return bool(column) and column.count(column[0]) == len(column)
