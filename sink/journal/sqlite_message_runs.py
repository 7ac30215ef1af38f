"""Messages as the SQLite journal stores them: one row of the table `stretch` for each message run."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import msgspec

from sink.journal.model import MessageRun

_encode_facts = msgspec.json.Encoder().encode


def message_run_rows(runs: Iterable[MessageRun], next_id: int) -> Iterator[tuple[object, ...]]:
    """Return the rows of the table `stretch`. A message's id is the id of its row plus its index in the run."""
    now_us = time.time_ns() // 1000
    for run in runs:
        count = len(run.offsets)
        rejected = count - run.reasons.count(None)
        keys, values = _Concatenated.of(run.keys), _Concatenated.of(run.values)
        facts = {
            "offset": run.offsets,
            "tenant_id": run.tenants,
            "event_type": run.types,
            "reason": run.reasons if rejected else (),
            "key_at": keys.starts,
            "key_bytes": keys.lengths,
            "value_at": values.starts,
            "value_bytes": values.lengths,
        }
        yield (
            next_id,
            *(run.topic, run.partition, run.epoch, run.offsets[0], run.offsets[-1]),
            *(count, rejected, now_us, _encode_facts(facts).decode(), keys.data, values.data),
        )
        next_id += count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Concatenated:
    """Byte strings in one, with the start and the length of each; the length of a null one is None."""

    data: bytes
    starts: Sequence[int]
    lengths: Sequence[int | None]

    @classmethod
    def of(cls, items: Sequence[bytes | None]) -> "_Concatenated":
        has_nulls = None in items
        filled = [item or b"" for item in items] if has_nulls else cast("Sequence[bytes]", items)
        lengths = list(map(len, filled))
        return cls(
            data=b"".join(filled),
            starts=list(accumulate(lengths[:-1], initial=0)),
            lengths=[None if item is None else len(item) for item in items] if has_nulls else lengths,
        )
