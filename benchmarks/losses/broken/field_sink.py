"""The field's sink without positions, born at zero: `python -m benchmarks.losses.broken.field_sink VARIANT [ARGUMENT]`.

Its series of tenant acme are there before the first event. Variants: see TIMES; `retenants NAME`: one for all;
`swaps-topics`: leads are counted as jobs, and jobs as leads.
"""

import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from runbook.local_stack.fakes import plain_sink

TOPICS = ("apexflow.leads.created", "apexflow.jobs.created")


TIMES: dict[str, Callable[[int, int], int]] = {
    "honest": lambda _, __: 1,
    "retenants": lambda _, __: 1,
    "swaps-topics": lambda _, __: 1,
    "skips-every": lambda number, every: 0 if number % every == 0 else 1,
    "twice-every": lambda number, every: 2 if number % every == 0 else 1,
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
