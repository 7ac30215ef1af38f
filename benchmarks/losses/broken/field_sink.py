"""The field's sink without positions, born at zero: `python -m benchmarks.losses.broken.field_sink VARIANT [ARGUMENT]`.

Its series of tenant acme are there before the first event. Variants: see TIMES; `retenants NAME`: one for all;
`swaps-topics`: leads are counted as jobs, and jobs as leads.
"""

import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from runbook.local_stack.fakes import plain_sink

TOPICS = ("apexflow.leads.created", "apexflow.jobs.created")


class OneASecond:
    """Counts the first event of each second, as a sink does that takes samples."""

    def __init__(self) -> None:
        self._second = -1

    def __call__(self, _number: int, _argument: int) -> int:
        """Return how often an event is counted that comes now."""
        before, self._second = self._second, int(time.monotonic())
        return int(before != self._second)


TIMES: dict[str, Callable[[int, int], int]] = {
    "honest": lambda _, __: 1,
    "retenants": lambda _, __: 1,
    "swaps-topics": lambda _, __: 1,
    "skips-every": lambda number, every: 0 if number % every == 0 else 1,
    "twice-every": lambda number, every: 2 if number % every == 0 else 1,
    "one-a-second": OneASecond(),
    "stops-after": lambda number, last: 1 if number <= last else 0,
}


def main() -> None:
    """Break the counting, then be the plain sink."""
    variant, argument = [*sys.argv[1:], ""][:2]
    times, numbers = TIMES[variant], count(1)
    counter = plain_sink.events_counter()
    labels = counter.labels
    for topic in TOPICS:
        labels(topic=topic, tenant_id="acme")

    class Counted:
        def __init__(self, topic: Any, tenant_id: Any) -> None:  # noqa: ANN401  # labels
            topic = TOPICS[1 - TOPICS.index(topic)] if variant == "swaps-topics" else topic
            self._series = labels(topic=topic, tenant_id=argument if variant == "retenants" else tenant_id)

        def inc(self) -> None:
            self._series.inc(times(next(numbers), int(argument) if argument.isdecimal() else 1))

    counter.labels = Counted  # type: ignore[method-assign, assignment]  # the broken variant
    plain_sink.main(counter)


if __name__ == "__main__":
    main()
