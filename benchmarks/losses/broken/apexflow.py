"""ApexFlow with a broken or an odd outbox: `python -m benchmarks.losses.broken.apexflow VARIANT [ARGUMENT] -- OPTIONS`.

A variant of CHANGES changes what is sent of an event, one of WAYS how it is sent, one of SERVICES the service itself.
What the API answers and stores stays right, except for SERVICES, those of broken/api.py among them; more of CHANGES and
SERVICES are in broken/relays.py.
"""

import gzip
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, Final

from confluent_kafka import Producer

from benchmarks.losses.broken import api, relays
from runbook.local_stack.fakes.apexflow import __main__ as service
from runbook.local_stack.fakes.apexflow.relay import Relay
from runbook.local_stack.fakes.apexflow.store import JOBS_TOPIC, Event, Store

Change = Callable[[int, Event], list[Event]]
"""The number of an event since the start (from 1) and the event, to what is sent of it."""

NAMES: Final = {"leads": "apexflow.leads.created", "jobs": JOBS_TOPIC}
_OTHER: Final = dict(zip(NAMES.values(), reversed(NAMES.values()), strict=True))
_INVENTED: Final = 900_000
_FLUSH_S: Final = 10
_TEXT: Final = "x" * 40_000


class Raw(dict[str, Any]):
    """A value that is sent as these bytes."""

    def __init__(self, text: bytes | None) -> None:
        super().__init__()
        self.text = text


def _json(event: Event) -> bytes:
    return json.dumps(event.value).encode()


def _raw(make: Callable[[Event], bytes | None]) -> Callable[[Event], list[Event]]:
    return lambda event: [replace(event, value=Raw(make(event)))]


def _each(number: str, change: Callable[[Event], list[Event]]) -> Change:
    every = int(number)
    return lambda n, event: change(event) if n % every == 0 else [event]


def _of_topic(topic: str, change: Callable[[Event], list[Event]]) -> Change:
    return lambda _, event: change(event) if event.topic == NAMES[topic] else [event]


def _edited(**fields: object) -> Callable[[Event], list[Event]]:
    def edited(event: Event) -> list[Event]:
        value = {**event.value, **fields}
        return [replace(event, value={name: item for name, item in value.items() if item is not None})]

    return edited


def _first_again() -> Change:
    first: dict[str, Event] = {}

    def change(_: int, event: Event) -> list[Event]:
        return [replace(first.setdefault(event.topic, event), row=event.row)]

    return change


def _drops_then_doubles(number: str) -> Change:
    every = int(number)

    def change(n: int, event: Event) -> list[Event]:
        times = {0: 0, 1: 2}.get(n % every, 1) if n > 1 else 1
        return [event] * times

    return change


def _shifted(by: str) -> Change:
    return lambda _, event: [replace(event, value={**event.value, "id": event.value["id"] + int(by)})]


def _moved(topic: str, to: str) -> Change:
    return _of_topic(topic, lambda event: [replace(event, topic=NAMES.get(to, to))])


def _content_of_leads() -> Change:
    """Send the value of the newest lead in place of each job's."""
    last: dict[str, Any] = {}

    def change(_: int, event: Event) -> list[Event]:
        if event.topic != JOBS_TOPIC:
            last.update(event.value)
            return [event]
        return [replace(event, value=dict(last))]

    return change


def _packed() -> Change:
    """Send two events as two lines of one message; the first of a pair waits for the second."""
    waiting: list[Event] = []

    def change(_: int, event: Event) -> list[Event]:
        waiting.append(event)
        if len(waiting) == 1:
            return []
        lines = b"\n".join(map(_json, waiting))
        waiting.clear()
        return [replace(event, value=Raw(lines))]

    return change


def _with_a_tombstone(event: Event) -> list[Event]:
    return [event, replace(event, value=Raw(None))]


def _pretty(event: Event) -> bytes:
    return json.dumps(dict(reversed(event.value.items())), indent=2).encode()


def _escaped(event: Event) -> bytes:
    """Return the same JSON with each letter of the tenant as an escape."""
    tenant = event.value["tenant_id"]
    escapes = "".join(f"\\u{ord(letter):04x}" for letter in tenant)
    return _json(event).replace(f'"{tenant}"'.encode(), f'"{escapes}"'.encode())


CHANGES: Final[dict[str, Callable[..., Change]]] = {
    "drops-every": lambda n: _each(n, lambda _: []),
    "drops-topic": lambda topic: _of_topic(topic, lambda _: []),
    "drops-first": lambda many: lambda n, event: [] if n <= int(many) else [event],
    "drops-after": lambda many: lambda n, event: [event] if n <= int(many) else [],
    "drops-then-doubles": _drops_then_doubles,
    "doubles-every": lambda n: _each(n, lambda event: [event, event]),
    "repeats": lambda topic, times: _of_topic(topic, lambda event: [event] * int(times)),
    "moves": _moved,
    "cuts-every": lambda n: _each(n, _raw(lambda event: _json(event)[: len(_json(event)) // 2])),
    "empties-every": lambda n: _each(n, _raw(lambda _: None)),
    "encodes-twice-every": lambda n: _each(n, _raw(lambda event: json.dumps(_json(event).decode()).encode())),
    "gzips": lambda topic: _of_topic(topic, _raw(lambda event: gzip.compress(_json(event)))),
    "schema-header": lambda: _each("1", _raw(lambda event: b"\0\0\0\0\7" + _json(event))),
    "envelopes": lambda: _each("1", lambda event: [replace(event, value={"payload": event.value})]),
    "tenant-every": lambda n, tenant: _each(n, _edited(tenant_id=tenant)),
    "no-tenant-every": lambda n: _each(n, _edited(tenant_id=None)),
    "type-every": lambda n, kind: _each(n, _edited(event_type=kind)),
    "shifts-ids": _shifted,
    "first-again": _first_again,
    "adds-fields": lambda: _each("1", _edited(note=_TEXT, mood="\N{GRINNING FACE}", more={"a": [[{}]]}, score=1e-9)),
    "no-id": lambda: _each("1", _edited(id=None)),
    "no-type-every": lambda n: _each(n, _edited(event_type=None)),
    "id-of-lead": lambda: _of_topic("jobs", lambda event: _edited(id=event.value["lead_id"])(event)),
    "pads-tenant-every": lambda n: _each(n, lambda event: _edited(tenant_id=f"{event.value['tenant_id']} ")(event)),
    "lists-tenant": lambda topic: _of_topic(topic, lambda event: _edited(tenant_id=[event.value["tenant_id"]])(event)),
    "swaps-topics": lambda: lambda _, event: [replace(event, topic=_OTHER[event.topic])],
    "content-of-leads": _content_of_leads,
    "packs": _packed,
    "copies-to": lambda topic: lambda _, event: [event, replace(event, topic=topic)],
    "with-tombstones": lambda: _each("1", _with_a_tombstone),
    "pretty": lambda: _each("1", _raw(_pretty)),
    "escapes": lambda: _each("1", _raw(_escaped)),
    **relays.CHANGES,
}


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
            value = event.value.text if isinstance(event.value, Raw) else _json(event)
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


def _store_nothing(number: str) -> None:
    """Answer each n-th lead with an invented id."""
    create, numbers = Store.create_lead, count(1)

    def create_lead(self: Store, tenant: str, lead: Any) -> Any:  # noqa: ANN401  # as it is
        n = next(numbers)
        if n % int(number):
            return create(self, tenant, lead)
        return {"id": _INVENTED + n, "tenant_id": tenant, **lead, "created_at": "2026-01-01T00:00:00"}

    Store.create_lead = create_lead  # type: ignore[method-assign]  # the broken variant


def _answer_previous(number: str) -> None:
    """Answer each n-th lead with the one before."""
    create, numbers, last = Store.create_lead, count(1), dict[str, Any]()

    def create_lead(self: Store, tenant: str, lead: Any) -> Any:  # noqa: ANN401  # as it is
        if next(numbers) % int(number):
            last.update(create(self, tenant, lead))
        return dict(last)

    Store.create_lead = create_lead  # type: ignore[method-assign]  # the broken variant


def _slow(seconds: str) -> None:
    def slowed(method: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*arguments: Any) -> Any:  # noqa: ANN401  # any method
            threading.Event().wait(float(seconds))
            return method(*arguments)

        return slow

    Store.create_lead = slowed(Store.create_lead)  # type: ignore[method-assign]
    Store.create_job = slowed(Store.create_job)  # type: ignore[method-assign]


def _late(seconds: str) -> None:
    """Leave the outbox alone for so long; False lets the relay come again."""
    begin, drained = time.monotonic() + float(seconds), Relay._drained  # noqa: SLF001

    def late(self: Relay, producer: Producer) -> bool:
        return time.monotonic() > begin and drained(self, producer)

    Relay._drained = late  # type: ignore[method-assign]  # noqa: SLF001


def _forgets_at_the_start() -> None:
    """Begin with an empty outbox, whatever was left in it."""
    enter = Relay.__enter__

    def begin(self: Relay) -> Relay:
        while events := self._store.unsent(1000):
            self._store.forget([event.row for event in events])
        return enter(self)

    Relay.__enter__ = begin  # type: ignore[method-assign, assignment]  # the broken variant


SERVICES: Final[dict[str, Callable[..., None]]] = {
    **api.SERVICES,
    **relays.SERVICES,
    "nothing-stored": _store_nothing,
    "answers-previous": _answer_previous,
    "slow": _slow,
    "late": _late,
    "starts-empty": _forgets_at_the_start,
}
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
