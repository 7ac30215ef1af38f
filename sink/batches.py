"""What the loop fetches at once, decoded: the unit that is counted, or not, as a whole."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import cast

from confluent_kafka import KafkaError, Message

from sink.dead_letters import DeadLetter
from sink.decoding import Event, Reason, decode_batch
from sink.journal.model import Entry, Partition, Row


@dataclass(slots=True, kw_only=True)
class Batch:
    """Decoded messages, and the offsets after them."""

    rebalances: int  # of the member, when the first of them was fetched
    fetched_at: float = field(default_factory=time.monotonic)
    events: list[Event] = field(default_factory=list)
    ingested: Counter[tuple[str, str]] = field(default_factory=Counter)  # by tenant and topic
    letters: list[DeadLetter] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    next_offsets: dict[Partition, int] = field(default_factory=dict)

    def rejected(self) -> Counter[tuple[str, Reason]]:
        """Count what is no event, by topic and reason."""
        return Counter((letter.message.topic() or "", letter.reason) for letter in self.letters)

    def add(self, messages: Sequence[Message], *, keep: bool, on_error: Callable[[KafkaError], None]) -> None:
        """Decode messages; an error of Kafka among them is told to `on_error`, and is no message."""
        decoded = decode_batch([message.value() for message in messages])
        good: Sequence[Message] = messages
        if decoded.rejected:
            good = [message for index, message in enumerate(messages) if index not in decoded.rejected]
            self._reject(messages, decoded.rejected, on_error)
        tenants = [event.tenant_id for event in decoded.events]
        topics = [message.topic() or "" for message in good]
        self.ingested.update(zip(tenants, topics, strict=True))
        self.events += decoded.events
        if keep:
            self.rows += _rows_of_events(good, decoded.events, tenants, topics)

    def _reject(
        self, messages: Sequence[Message], reasons: Mapping[int, Reason], on_error: Callable[[KafkaError], None]
    ) -> None:
        for index, reason in reasons.items():
            error = messages[index].error()  # an error's text is its value, and is never an event
            if error is not None:
                on_error(error)
            else:
                self.letters.append(DeadLetter(message=messages[index], reason=reason))

    def entry(self, before: Mapping[Partition, int], epochs: Mapping[Partition, int], *, keep: bool) -> Entry:
        """Return what a journal writes, for counting that had come to `before`."""
        rows = [*self.rows, *(_row_of_letter(letter) for letter in self.letters)] if keep else []
        if any(epochs.values()):
            rows = [Row._make(row)._replace(epoch=epochs.get((row[0], row[1]), 0)) for row in rows]
        moves = {p: (before[p], high) for p, high in self.next_offsets.items() if high != before.get(p, high)}
        return Entry(moves=moves, ingested=self.ingested, rejected=self.rejected(), rows=rows)


def _rows_of_events(
    messages: Sequence[Message], events: Sequence[Event], tenants: Sequence[str], topics: Sequence[str]
) -> Iterable[Row]:
    """Put the columns together: plain tuples, which take a third of the time of as many calls of Row."""
    columns = (
        topics,
        [message.partition() for message in messages],
        repeat(0),
        [message.offset() for message in messages],
        tenants,
        # PostgreSQL's text cannot hold the character NUL; a tenant has none, for it is checked.
        [event.event_type.replace("\0", "\ufffd") for event in events],
        repeat(None),
        [message.key() for message in messages],
        [message.value() for message in messages],
    )
    return cast("Iterable[Row]", zip(*columns, strict=False))  # strict would refuse the endless columns


def _row_of_letter(letter: DeadLetter) -> Row:
    message, key = letter.message, letter.message.key()
    place = (message.topic() or "", message.partition() or 0, 0, message.offset() or 0)
    return Row(*place, None, None, letter.reason, key.encode() if isinstance(key, str) else key, message.value())
