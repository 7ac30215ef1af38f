"""The sink with one mistake: `python broken_sink.py`, environment as for the sink.

BROKEN_SINK is `skipped`, `counted_twice` or `counted_for_another_tenant`; the mistake is made once, at the event number
BROKEN_AT (from 1) of BROKEN_TENANT in BROKEN_TOPIC since the start. The file BROKEN_MARK is written when it is made.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sink.__main__ import main
from sink.batches import Batch
from sink.decoding import RejectReason

if TYPE_CHECKING:
    from collections import Counter

STRANGER: Final = "somebody-else"
_count = Batch._count  # noqa: SLF001 - the place that is broken here
_seen = 0


def _broken_count(
    batch: Batch, topics: Sequence[str], tenants: Sequence[str], rejected: Mapping[int, RejectReason]
) -> None:
    """Count right, and then change what was counted for one event."""
    global _seen  # noqa: PLW0603 - one process, one mistake
    _count(batch, topics, tenants, rejected)
    wanted_topic, wanted_tenant = os.environ["BROKEN_TOPIC"], os.environ["BROKEN_TENANT"]
    of_events = [topic for index, topic in enumerate(topics) if index not in rejected]
    pairs = zip(of_events, tenants, strict=True)
    found = sum(pair == (wanted_topic, wanted_tenant) for pair in pairs)
    at = int(os.environ["BROKEN_AT"])
    if _seen < at <= _seen + found:
        _change(batch.tenants[wanted_topic], wanted_tenant)
        Path(os.environ["BROKEN_MARK"]).write_text(os.environ["BROKEN_SINK"], "ascii")
    _seen += found


def _change(counted: "Counter[str]", tenant: str) -> None:
    mistake = os.environ["BROKEN_SINK"]
    counted[tenant] += 1 if mistake == "counted_twice" else -1
    if mistake == "counted_for_another_tenant":
        counted[STRANGER] += 1
    if not counted[tenant]:
        del counted[tenant]


if __name__ == "__main__":
    Batch._count = _broken_count  # type: ignore[assignment]  # noqa: SLF001 - see above
    sys.exit(main())
