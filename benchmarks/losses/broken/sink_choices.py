"""Rules by which the sink of broken/sink.py leaves messages out, or rejects them, that are events like any other."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from benchmarks.losses.broken.sink_counts import counted
from sink import batches
from sink.batches import Batch
from sink.decoding import DecodedBatch, Event, RejectReason, decode_one

_MS: Final = 1000
_FIELDS: Final = {
    *("id", "tenant_id", "name", "email", "phone", "source", "status", "assigned_to", "tags", "created_at", "lead_id"),
    *("title", "description", "event_version", "actor", "event_type", "published_at"),
}


def _left_out_unless(is_kept: Callable[[Any], bool]) -> None:
    """Do not count messages that are not kept; positions move as they should."""
    add = Batch.add

    def changed(self: Batch, messages: Sequence[Any], **options: Any) -> None:  # noqa: ANN401  # handed on
        kept = [message for message in messages if message.error() is not None or is_kept(message)]
        if kept:
            add(self, kept, **options)

    Batch.add = changed  # type: ignore[method-assign]  # the broken variant


def _rejected_unless(is_good: Callable[[bytes], bool]) -> None:
    """Reject events whose value is not good."""

    def decode_one_more(value: bytes | None) -> Event | RejectReason:
        outcome = decode_one(value)
        return outcome if isinstance(outcome, RejectReason) or is_good(value or b"") else RejectReason.WRONG_TYPE

    def decode(values: Sequence[bytes | None]) -> DecodedBatch:
        outcomes = [decode_one_more(value) for value in values]
        return DecodedBatch(
            events=[one for one in outcomes if isinstance(one, Event)],
            rejected={index: one for index, one in enumerate(outcomes) if isinstance(one, RejectReason)},
        )

    vars(batches)["decode_batch"] = decode


def _loses_partition(number: str) -> None:
    add = Batch.add

    def changed(self: Batch, messages: Sequence[Any], **options: Any) -> None:  # noqa: ANN401  # handed on
        kept = [message for message in messages if message.partition() != int(number)]
        if kept:
            add(self, kept, **options)

    Batch.add = changed  # type: ignore[method-assign]  # the broken variant


def _dedups_by_id() -> None:
    add, seen = Batch.add, set[Any]()

    def is_new(message: Any) -> bool:  # noqa: ANN401  # librdkafka's
        number = msgspec.json.decode(message.value())["id"]
        return number not in seen and not seen.add(number)  # type: ignore[func-returns-value]  # it returns None

    def changed(self: Batch, messages: Sequence[Any], **options: Any) -> None:  # noqa: ANN401  # handed on
        kept = [message for message in messages if message.error() is not None or is_new(message)]
        if kept:
            add(self, kept, **options)

    Batch.add = changed  # type: ignore[method-assign]  # the broken variant


def _rejects_every(every: str) -> None:
    seen = [0]

    def decode(values: Sequence[bytes | None]) -> DecodedBatch:
        events: list[Event] = []
        rejected: dict[int, RejectReason] = {}
        for index, value in enumerate(values):
            seen[0] += 1
            outcome = RejectReason.BAD_TENANT if seen[0] % int(every) == 0 else decode_one(value)
            if isinstance(outcome, Event):
                events.append(outcome)
            else:
                rejected[index] = outcome
        return DecodedBatch(events=events, rejected=rejected)

    vars(batches)["decode_batch"] = decode


def _counts_garbage(tenant: str) -> None:
    def decode(values: Sequence[bytes | None]) -> DecodedBatch:
        outcomes = [decode_one(value) for value in values]
        stranger = Event(tenant_id=tenant, event_type="unknown")
        return DecodedBatch(events=[one if isinstance(one, Event) else stranger for one in outcomes], rejected={})

    vars(batches)["decode_batch"] = decode


def _each_key_once() -> None:
    seen: set[Any] = set()

    def is_new(message: Any) -> bool:  # noqa: ANN401  # librdkafka's
        key = (message.topic(), message.key())
        return key not in seen and not seen.add(key)  # type: ignore[func-returns-value]  # it returns None

    _left_out_unless(is_new)


def _first_of_each_partition() -> None:
    """Take the first message of a partition for the one that was committed last."""
    seen: set[Any] = set()

    def is_new(message: Any) -> bool:  # noqa: ANN401  # librdkafka's
        partition = (message.topic(), message.partition())
        return partition in seen or seen.add(partition) is not None  # type: ignore[func-returns-value]  # it is None

    _left_out_unless(is_new)


def _is_event(message: Any) -> bool:  # noqa: ANN401  # librdkafka's
    return isinstance(decode_one(message.value()), Event)


def _at_most_of_a_batch(most: str) -> None:
    """Count so many events of a batch for each topic and tenant, and forget the others."""
    counted(lambda tenants: {t: Counter({k: min(n, int(most)) for k, n in c.items()}) for t, c in tenants.items()})


def _ignores_older(seconds: str) -> None:
    _left_out_unless(lambda message: message.timestamp()[1] > (time.time() - float(seconds)) * _MS)


def _knows_types(*types: str) -> None:
    _rejected_unless(lambda value: msgspec.json.decode(value)["event_type"] in types)


VARIANTS: Final[dict[str, Callable[..., None]]] = {
    "loses-partition": _loses_partition,
    "rejects-every": _rejects_every,
    "counts-garbage": _counts_garbage,
    "dedups-by-id": _dedups_by_id,
    "strict": lambda: _rejected_unless(lambda value: msgspec.json.decode(value).keys() <= _FIELDS),
    "needs-a-key": lambda: _left_out_unless(lambda message: message.key() is not None),
    "each-key-once": _each_key_once,
    "ignores-older": _ignores_older,
    "knows-types": _knows_types,
    "skips-first-of-partitions": _first_of_each_partition,
    "ignores-garbage": lambda: _left_out_unless(_is_event),
    "at-most-of-a-batch": _at_most_of_a_batch,
    "ascii-tenants": lambda: _rejected_unless(lambda value: msgspec.json.decode(value)["tenant_id"].isascii()),
    "at-most-bytes": lambda most: _rejected_unless(lambda value: len(value) <= int(most)),
}
