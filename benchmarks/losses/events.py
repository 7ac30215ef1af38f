"""Events of other producers, well-formed and otherwise."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from confluent_kafka import Producer

from benchmarks.losses.repeating import repeated

TOPICS: Final = {"leads": "apexflow.leads.created", "jobs": "apexflow.jobs.created"}
_TYPES: Final = {"apexflow.leads.created": "lead.created", "apexflow.jobs.created": "job.created"}
_FIRST_ID: Final = 5_000_000
_WAIT_S: Final = 30.0
_OPEN_MS: Final = 600_000
_DEEP: Final = 5_000
_DIGITS: Final = 4_301
_LARGE_BYTES: Final = 900_000


def topic_of(name: str) -> str:
    """Return the topic of a short name."""
    return TOPICS.get(name, name)


def event(topic: str, tenant: object, number: int, **extra: object) -> bytes:
    """Return the value of an event."""
    fields = {"id": _FIRST_ID + number, "tenant_id": tenant, "event_type": _TYPES.get(topic, "other.created")}
    return json.dumps(fields | extra).encode()


def _with(field: str) -> Callable[[str, int], bytes]:
    return lambda topic, number: event(topic, "acme", number)[:-1] + f', "note": {field}}}'.encode()


_TENANTS: Final = ("a\nb", "x" * 300, 17, None, 'quo"te', "back\\slash")
_IDS: Final = (None, "17", 1.5, -3, 2**70, True, [1], {"id": 1})
_AFTER: Final = (b"x", b"{}", b",", b" // a comment", b"]")
_BLANK: Final = ("", " ", "\t")
_SCALARS: Final = (b"[]", b"[1, 2]", b"17", b"-0.5", b'"text"', b"true", b"null", b'["acme"]')
GARBAGE: Final[dict[str, Callable[[str, int], bytes | None]]] = {
    "null": lambda _, __: None,
    "empty": lambda _, __: b"",
    "not-json": lambda _, number: f"not JSON {number}".encode(),
    "no-tenant": lambda topic, number: json.dumps({"id": number, "event_type": _TYPES[topic]}).encode(),
    "exponent": _with("1e999"),
    "digits": _with("9" * _DIGITS),
    "nested": _with("[" * _DEEP + "]" * _DEEP),
    "duplicate-keys": lambda topic, number: event(topic, "acme", number)[:-1] + b', "tenant_id": "globex"}',
    "surrogate": _with('"\\ud800"'),
    "binary": lambda _, number: b"\xff\xfe\x00" + bytes([number % 256]),
    "odd-tenants": lambda topic, number: event(topic, _TENANTS[number % len(_TENANTS)], number),
    "copied-ids": lambda topic, number: event(topic, "globex", number, id=number + 1),
    "large": lambda _, number: f"no JSON {number} ".encode() * (_LARGE_BYTES // 12),
    "scalars": lambda _, number: _SCALARS[number % len(_SCALARS)],
    "bom": lambda topic, number: b"\xef\xbb\xbf" + event(topic, "acme", number),
    "utf-16": lambda topic, number: event(topic, "acme", number).decode().encode("utf-16"),
    "escapes": lambda topic, number: event(topic, "acme", number).replace(b"acme", rb"\u0061\u0063me"),
    "odd-ids": lambda topic, number: event(topic, "acme", number, id=_IDS[number % len(_IDS)]),
    "trailing": lambda topic, number: event(topic, "acme", number) + _AFTER[number % len(_AFTER)],
    "nan": lambda topic, number: event(topic, "acme", number, score=(math.nan, math.inf)[number % 2]),
    "spaces": lambda topic, number: b" \r\n\t" + event(topic, "acme", number) + b"\r\n ",
    "blank-tenants": lambda topic, number: event(topic, _BLANK[number % len(_BLANK)], number),
    "two-lines": lambda topic, number: event(topic, "acme", number) + b"\n" + event(topic, "acme", number + 1),
    "escaped-names": lambda topic, number: event(topic, "acme", number).replace(b"tenant_id", rb"\u0074enant\u005fid"),
    "names-in-capitals": lambda topic, number: event(topic, "acme", number).replace(b"tenant_id", b"TENANT_ID"),
    "inside-another": lambda topic, number: b'{"event": ' + event(topic, "acme", number) + b"}",
    "pairs": lambda topic, number: event(topic, "fox \N{FOX FACE}", number),
    "halves-of-pairs": lambda topic, number: event(topic, "fox", number).replace(b"fox", rb"fox \udd8a\ud83e"),
}


class OtherProducer:
    """Another program that writes to the broker; its ids are its own."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
        self._numbers = count()

    def write(self, topic: str, many: int, tenant: Callable[[int], str]) -> None:
        """Write events, and wait until the broker has them."""
        for _ in range(many):
            number = next(self._numbers)
            self._put(self._producer, topic, event(topic, tenant(number), number), f"other:{number}")
        self._flush()

    def write_extras(self, topic: str, many: int, tenant: str) -> None:
        """Write events with fields that nobody reads."""
        for _ in range(many):
            number = next(self._numbers)
            value = event(topic, tenant, number, source="import", score=0.5, tags=["a"], extra={"of": [None, True]})
            self._put(self._producer, topic, value, f"other:{number}")
        self._flush()

    def write_stamped(self, topic: str, many: int, tenant: str, seconds: float) -> None:
        """Write events whose time is so many seconds from now."""
        for _ in range(many):
            number = next(self._numbers)
            at = int((time.time() + seconds) * 1000)
            self._producer.produce(topic, event(topic, tenant, number), f"other:{number}", timestamp=at)
        self._flush()

    def write_again(self, values: Iterable[tuple[str, bytes | None]]) -> None:
        """Write messages as they were."""
        for topic, value in values:
            self._put(self._producer, topic, value, f"again:{next(self._numbers)}")
        self._flush()

    def write_updates(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write an event of another type for each lead of a ledger, with its id and its tenant."""
        for row in rows:
            value = {"id": row["id"], "tenant_id": row["tenant_id"], "event_type": "lead.updated"}
            self._put(self._producer, row["topic"], json.dumps(value).encode(), f"update:{row['id']}")
        self._flush()

    def write_tombstones(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write a null value under the key of each row of a ledger, as for a compacted topic."""
        for row in rows:
            self._put(self._producer, row["topic"], None, f"{row['tenant_id']}:{row['kind']}:{row['id']}")
        self._flush()

    def write_keys(self, topic: str, many: int, keys: int) -> None:
        """Write events under so many keys."""
        for _ in range(many):
            number = next(self._numbers)
            self._put(self._producer, topic, event(topic, "acme", number), f"same:{number % keys}")
        self._flush()

    def write_garbage(self, kind: str, topic: str, many: int) -> None:
        """Write values of a kind."""
        for number in range(many):
            self._put(self._producer, topic, GARBAGE[kind](topic, number), f"garbage:{number}")
        self._flush()

    def write_transactions(self, topic: str, committed: int, aborted: int) -> None:
        """Write one transaction that is committed, and one that is aborted."""
        producer = Producer({"bootstrap.servers": self._bootstrap, "transactional.id": "other", "log_level": 0})
        producer.init_transactions(_WAIT_S)
        for many, end in ((committed, producer.commit_transaction), (aborted, producer.abort_transaction)):
            producer.begin_transaction()
            for _ in range(many):
                number = next(self._numbers)
                self._put(producer, topic, event(topic, "acme", number), f"other:{number}")
            producer.flush(_WAIT_S)
            end(_WAIT_S)

    def open_transaction(self, topic: str, many: int) -> Callable[[], None]:
        """Write events in a transaction that stays open; return what aborts it."""
        options = {"transactional.id": "open", "transaction.timeout.ms": _OPEN_MS}
        producer = Producer({"bootstrap.servers": self._bootstrap, "log_level": 0, **options})
        producer.init_transactions(_WAIT_S)
        producer.begin_transaction()
        for _ in range(many):
            number = next(self._numbers)
            self._put(producer, topic, event(topic, "acme", number), f"other:{number}")
        producer.flush(_WAIT_S)
        return lambda: producer.abort_transaction(_WAIT_S)

    @contextmanager
    def busy(self, per_s: int) -> Iterator[None]:
        """Write so many events a second until the end of the block; every tenth is a job."""

        def write() -> None:
            number = next(self._numbers)
            topic = TOPICS["leads" if number % 10 else "jobs"]
            self._put(self._producer, topic, event(topic, f"busy-{number % 3}", number), f"other:{number}")

        with repeated(per_s, write):
            yield
        self._flush()

    @staticmethod
    def _put(producer: Any, topic: str, value: bytes | None, key: str) -> None:  # noqa: ANN401  # librdkafka's
        while True:
            try:
                producer.produce(topic, value, key.encode())
            except BufferError:
                producer.poll(0.1)
            else:
                producer.poll(0)
                return

    def _flush(self) -> None:
        left = self._producer.flush(_WAIT_S)
        if left:
            raise RuntimeError(f"{left} events were not delivered")
