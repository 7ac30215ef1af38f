"""Messages as the SQLite journal keeps them: a row of the table `stretch` for those that came together."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import msgspec

from sink.journal.model import Stretch

_encode_facts = msgspec.json.Encoder().encode


def stretch_rows(stretches: Iterable[Stretch], next_id: int) -> Iterator[tuple[object, ...]]:
    """Return the rows of the table `stretch`; a message's id is that of its stretch and its place in it."""
    now_us = time.time_ns() // 1000
    for stretch in stretches:
        count = len(stretch.offsets)
        rejected = count - stretch.reasons.count(None)
        keys, values = _Joined.of(stretch.keys), _Joined.of(stretch.values)
        facts = {
            "offset": stretch.offsets,
            "tenant_id": stretch.tenants,
            "event_type": stretch.types,
            "reason": stretch.reasons if rejected else (),
            "key_at": keys.begins,
            "key_bytes": keys.lengths,
            "value_at": values.begins,
            "value_bytes": values.lengths,
        }
        yield (
            next_id,
            *(stretch.topic, stretch.partition, stretch.epoch, stretch.offsets[0], stretch.offsets[-1]),
            *(count, rejected, now_us, _encode_facts(facts).decode(), keys.text, values.text),
        )
        next_id += count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined:
    """Texts put together: where each begins, and how long it is; None for one that is null."""

    text: bytes
    begins: Sequence[int]
    lengths: Sequence[int | None]

    @classmethod
    def of(cls, texts: Sequence[bytes | None]) -> "_Joined":
        nulls = None in texts
        there = [text or b"" for text in texts] if nulls else cast("Sequence[bytes]", texts)
        lengths = list(map(len, there))
        return cls(
            text=b"".join(there),
            begins=list(accumulate(lengths[:-1], initial=0)),
            lengths=[None if text is None else len(text) for text in texts] if nulls else lengths,
        )
