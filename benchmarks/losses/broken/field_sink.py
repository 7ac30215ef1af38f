"""The field's sink without positions, born at zero: `python -m benchmarks.losses.broken.field_sink VARIANT [N]`.

Variants: `honest`; `skips-every N`; `twice-every N`. Its series of tenant acme are there before the first event.
"""

import sys
from itertools import count
from typing import Any

from runbook.local_stack.fakes import plain_sink

TOPICS = ("apexflow.leads.created", "apexflow.jobs.created")


def main() -> None:
    """Break the counting, then be the plain sink."""
    variant, *rest = sys.argv[1:]
    every, numbers = int(rest[0]) if rest else 1, count(1)
    counter = plain_sink._EVENTS  # noqa: SLF001  # its one counter
    labels = counter.labels
    for topic in TOPICS:
        labels(topic=topic, tenant_id="acme")

    class Counted:
        def __init__(self, topic: Any, tenant_id: Any) -> None:  # noqa: ANN401  # labels
            self._series = labels(topic=topic, tenant_id=tenant_id)

        def inc(self) -> None:
            is_nth = next(numbers) % every == 0
            times = {"skips-every": 1 - is_nth, "twice-every": 1 + is_nth}.get(variant, 1)
            self._series.inc(times)

    counter.labels = Counted  # type: ignore[method-assign, assignment]  # the broken variant
    plain_sink.main()


if __name__ == "__main__":
    main()
