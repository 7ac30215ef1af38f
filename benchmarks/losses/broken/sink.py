"""The sink with a mistake in its counting: `python -m benchmarks.losses.broken.sink VARIANT [ARGUMENT ...]`.

Its page, its journal and its place in the group are the real ones.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import sink.__main__ as service
from benchmarks.losses.broken import sink_choices, sink_counts, sink_labels, sink_pages
from benchmarks.losses.broken.sink_counts import counted
from sink.batch_counter import BatchCounter
from sink.batches import Batch
from sink.consumer import EventConsumer
from sink.membership import Membership
from sink.metrics import Metrics

_POLL_S: Final = 0.2


def _never_reads_partition(number: str) -> None:
    start = Membership.start_reading

    def changed(self: Membership) -> None:
        start(self)
        self.kafka.pause([one for one in self._topic_partitions() if one.partition == int(number)])

    Membership.start_reading = changed  # type: ignore[method-assign]  # the broken variant


def _pauses_the_last() -> None:
    """Read all partitions that are assigned but the last."""
    start = Membership.start_reading

    def changed(self: Membership) -> None:
        start(self)
        self.kafka.pause(sorted(self._topic_partitions())[-1:])

    Membership.start_reading = changed  # type: ignore[method-assign]  # the broken variant


def _stuck_after(events: str) -> None:
    """Stay in the group, and count nothing more once so many were counted."""
    fetched, seen = EventConsumer._fetched, [0]  # noqa: SLF001  # what is broken

    def changed(self: EventConsumer) -> Batch | None:
        if seen[0] >= int(events):
            self._member.pause()
            self._member.kafka.poll(_POLL_S)
            return None
        batch = fetched(self)
        seen[0] += sum(batch.ingested().values()) if batch else 0
        return batch

    EventConsumer._fetched = changed  # type: ignore[method-assign]  # noqa: SLF001


def _forgets_at_rebalance() -> None:
    """Hold the counts in memory until the next rebalance, and forget them there; positions are stored at once."""
    assign, assignments = Membership._on_assign, [0]  # noqa: SLF001  # what is broken

    def changed(self: Membership, *arguments: Any) -> None:  # noqa: ANN401  # handed on
        assignments[0] += 1
        assign(self, *arguments)

    Membership._on_assign = changed  # type: ignore[method-assign, assignment]  # noqa: SLF001
    counted(lambda tenants: tenants if assignments[0] > 1 else {})


def _reads_ahead(events: str) -> None:
    """Count so many events; then show the positions of what is read, and neither count nor commit it."""
    fetched, offsets = EventConsumer._fetched, Metrics._offsets  # noqa: SLF001  # what is broken
    seen, ahead = [0], dict[tuple[str, int], int]()

    def read(self: EventConsumer) -> Batch | None:
        batch = fetched(self)
        if batch is None or seen[0] < int(events):
            seen[0] += sum(batch.ingested().values()) if batch else 0
            return batch
        ahead.update(batch.next_offsets)
        return None

    def shown(self: Metrics, next_offsets: Any) -> Any:  # noqa: ANN401  # families
        real, self._next_offsets = self._next_offsets, {**self._next_offsets, **ahead}
        try:
            return offsets(self, {**next_offsets, **ahead} if next_offsets else {})
        finally:
            self._next_offsets = real

    EventConsumer._fetched = read  # type: ignore[method-assign]  # noqa: SLF001
    Metrics._offsets = shown  # type: ignore[method-assign]  # noqa: SLF001


def _dawdles(seconds: str) -> None:
    count = BatchCounter.count

    def changed(self: BatchCounter, batch: Batch, epochs: Any) -> None:  # noqa: ANN401  # handed on
        threading.Event().wait(float(seconds))
        count(self, batch, epochs)

    BatchCounter.count = changed  # type: ignore[method-assign]


VARIANTS: Final[dict[str, Callable[..., None]]] = {
    "never-reads-partition": _never_reads_partition,
    "pauses-the-last": _pauses_the_last,
    "stuck-after": _stuck_after,
    "dawdles": _dawdles,
    "forgets-at-rebalance": _forgets_at_rebalance,
    "reads-ahead": _reads_ahead,
    **sink_pages.VARIANTS,
    **sink_choices.VARIANTS,
    **sink_counts.VARIANTS,
    **sink_labels.VARIANTS,
    "as-it-is": lambda: None,
}


def main() -> int:
    """Break what the variant names, then be the sink."""
    variant, *arguments = sys.argv[1:]
    del sys.argv[1:]
    VARIANTS[variant](*arguments)
    return service.main()


if __name__ == "__main__":
    sys.exit(main())
