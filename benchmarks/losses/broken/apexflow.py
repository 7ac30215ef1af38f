"""ApexFlow with a broken or an odd outbox: `python -m benchmarks.losses.broken.apexflow VARIANT [WORD] -- OPTIONS`.

A variant of changes.py changes what is sent of an event, one of WAYS how it is sent, SERVICES the service itself.
What the API answers and stores stays right, except for the variants of api.py.
"""

import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from confluent_kafka import Producer

from benchmarks.losses.broken import api, relays
from benchmarks.losses.broken.changes import CHANGES, Change, Raw, json_of
from runbook.local_stack.fakes.apexflow import __main__ as service
from runbook.local_stack.fakes.apexflow.relay import Relay
from runbook.local_stack.fakes.apexflow.store import Event

_FLUSH_S: Final = 10


class Sending:
    """Takes the place of `Relay._sent`: sends what `change` leaves of each event, and confirms all rows."""

    def __init__(self, change: Change | None = None, **options: Any) -> None:  # noqa: ANN401  # of produce
        self._change: Change = change or (lambda _, event: [event])
        self._options = options
        self._numbers = count(1)

    def __call__(self, _relay: Relay, producer: Any, events: list[Event]) -> list[int]:  # noqa: ANN401  # librdkafka's
        """Send, and return the rows that the outbox may forget."""
        self.produce(producer, [one for event in events for one in self._change(next(self._numbers), event)])
        return [event.row for event in events]

    def produce(self, producer: Any, events: list[Event]) -> None:  # noqa: ANN401  # librdkafka's
        """Send, and wait until the broker has all."""
        for event in events:
            value = event.value.text if isinstance(event.value, Raw) else json_of(event)
            producer.produce(event.topic, value, **{"key": event.key.encode(), **self._options})
        producer.flush(_FLUSH_S)


class Reordering(Sending):
    """Sends each batch in the opposite order."""

    def produce(self, producer: Any, events: list[Event]) -> None:  # noqa: ANN401  # librdkafka's
        """Send, the last one first."""
        super().produce(producer, events[::-1])


class FullBatches(Sending):
    """Sends so many events together, and leaves what does not fill a batch."""

    def __init__(self, size: str) -> None:
        super().__init__()
        self._size = int(size)

    def __call__(self, relay: Relay, producer: Any, events: list[Event]) -> list[int]:  # noqa: ANN401  # librdkafka's
        """Send whole batches."""
        return super().__call__(relay, producer, events[: len(events) // self._size * self._size])


class MemoryOnly(Sending):
    """Takes events out of the outbox, and never comes to send them."""

    def produce(self, producer: Any, events: list[Event]) -> None:  # noqa: ANN401  # librdkafka's
        """Keep them."""


class NewestOnly(Sending):
    """Sends the newest event of a batch only, and waits so long for the next batch."""

    def __init__(self, seconds: str) -> None:
        super().__init__()
        self._wait_s = float(seconds)

    def produce(self, producer: Any, events: list[Event]) -> None:  # noqa: ANN401  # librdkafka's
        """Send one."""
        super().produce(producer, events[-1:])
        threading.Event().wait(self._wait_s)


class Pacing(NewestOnly):
    """Sends one event after the other, and waits so long after each."""

    def produce(self, producer: Any, events: list[Event]) -> None:  # noqa: ANN401  # librdkafka's
        """Send all."""
        for event in events:
            super().produce(producer, [event])


class MarksInMemory(Sending):
    """Remembers what it has sent in memory, and takes nothing out of the outbox."""

    def __init__(self) -> None:
        super().__init__()
        self._sent: set[int] = set()

    def __call__(self, _relay: Relay, producer: Any, events: list[Event]) -> list[int]:  # noqa: ANN401  # librdkafka's
        """Send what was not sent."""
        self.produce(producer, [event for event in events if event.row not in self._sent])
        self._sent |= {event.row for event in events}
        return []


class OwnProducer(Sending):
    """Sends by a producer with properties of its own."""

    def __init__(self, **properties: object) -> None:
        super().__init__()
        self._properties = {name.replace("_", "."): value for name, value in properties.items()}
        self._own: Any = None

    def __call__(self, relay: Relay, _producer: Any, events: list[Event]) -> list[int]:  # noqa: ANN401  # librdkafka's
        """Send by it."""
        if self._own is None:
            self._own = Producer({"bootstrap.servers": relay._bootstrap(), **self._properties})  # noqa: SLF001
            self.begin(self._own)
        return super().__call__(relay, self._own, events)

    def begin(self, producer: Any) -> None:  # noqa: ANN401  # librdkafka's
        """Prepare it."""


class Aborting(OwnProducer):
    """Sends each event in a transaction, and aborts every n-th."""

    def __init__(self, every: str) -> None:
        super().__init__(transactional_id="apexflow")
        self._every, self._transactions = int(every), count(1)

    def begin(self, producer: Any) -> None:  # noqa: ANN401  # librdkafka's
        """Fence older ones."""
        producer.init_transactions(_FLUSH_S)

    def produce(self, producer: Any, events: list[Event]) -> None:  # noqa: ANN401  # librdkafka's
        """Send, and end each transaction."""
        for event in events:
            producer.begin_transaction()
            super().produce(producer, [event])
            is_aborted = next(self._transactions) % self._every == 0
            (producer.abort_transaction if is_aborted else producer.commit_transaction)(_FLUSH_S)


def _stamped(seconds: str) -> Sending:
    return Sending(timestamp=int((time.time() + float(seconds)) * 1000))


WAYS: Final[dict[str, Callable[..., Sending]]] = {
    "reorders": Reordering,
    "full-batches": FullBatches,
    "memory-outbox": MemoryOnly,
    "newest-only": NewestOnly,
    "paces": Pacing,
    "marks-in-memory": MarksInMemory,
    "aborts-every": Aborting,
    "one-partition": lambda: Sending(partition=0),
    "without-keys": lambda: Sending(key=None),
    "one-key": lambda: Sending(key=b"acme"),
    "with-headers": lambda: Sending(headers=[(f"h{n}", b"x" * n) for n in range(5)]),
    "stamps": _stamped,
    "compresses": lambda: OwnProducer(compression_type="lz4"),
    "lingers": lambda: OwnProducer(linger_ms=800, acks=1),
    "as-java-does": lambda: OwnProducer(partitioner="murmur2_random"),
    "gives-up": lambda: OwnProducer(message_timeout_ms=1000),
}


SERVICES: Final = {**api.SERVICES, **relays.SERVICES}
VARIANTS: Final = frozenset({*CHANGES, *WAYS, *SERVICES})


def main() -> None:
    """Break what the variant names, then be ApexFlow."""
    split = sys.argv.index("--")
    variant, *arguments = sys.argv[1:split]
    del sys.argv[1 : split + 1]
    if variant in SERVICES:
        SERVICES[variant](*arguments)
    else:
        sending = WAYS[variant](*arguments) if variant in WAYS else Sending(CHANGES[variant](*arguments))
        Relay._sent = lambda self, producer, events: sending(self, producer, events)  # type: ignore[method-assign]  # noqa: SLF001, PLW0108  # it binds
    service.main()


if __name__ == "__main__":
    main()
