"""What the sink of broken/sink.py counts of a batch, and when it forgets; `counted` changes the counts of each."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from sink.batch_counter import BatchCounter
from sink.batches import Batch
from sink.decoding import RejectReason
from sink.metrics import Metrics
from sink.unlabelled_metrics import OVERFLOW_TENANT

Tenants = dict[str, Counter[str]]
"""Events by topic and tenant."""


def counted(change: Callable[[Tenants], Mapping[str, Counter[str]]]) -> None:
    """Change what is counted of each batch; positions move as they should."""
    count = BatchCounter.count

    def changed(self: BatchCounter, batch: Batch, epochs: Any) -> None:  # noqa: ANN401  # handed on
        result = change({topic: Counter(tenants) for topic, tenants in batch.tenants.items()})
        batch.tenants.clear()
        batch.tenants.update(result)
        count(self, batch, epochs)

    BatchCounter.count = changed  # type: ignore[method-assign]  # the broken variant


def _each_batch_once() -> None:
    """Count a batch as one event of each tenant that is in it."""
    counted(lambda tenants: {topic: Counter(counts.keys()) for topic, counts in tenants.items()})


def _composed_tenants() -> None:
    """Count for the composed Unicode form of a tenant, which is another name."""

    def change(tenants: Tenants) -> Tenants:
        result: Tenants = {}
        for topic, counts in tenants.items():
            result[topic] = Counter()
            for name, events in counts.items():
                result[topic][unicodedata.normalize("NFC", name)] += events
        return result

    counted(change)


def _overflows_after(events: str) -> None:
    """Count so many events, and all later ones as those of tenants beyond the limit."""
    seen = [0]

    def change(tenants: Tenants) -> Tenants:
        is_full = seen[0] >= int(events)
        seen[0] += sum(counts.total() for counts in tenants.values())
        if not is_full:
            return tenants
        return {topic: Counter({OVERFLOW_TENANT: counts.total()}) for topic, counts in tenants.items()}

    counted(change)


def _rejects_twice() -> None:
    """Count each rejected message as two."""
    rejected = Batch.rejected

    def changed(self: Batch) -> Counter[tuple[str, RejectReason]]:
        return Counter({key: 2 * number for key, number in rejected(self).items()})

    Batch.rejected = changed  # type: ignore[method-assign]  # the broken variant


def _clears_at_rebalance() -> None:
    """Begin to count at zero with each assignment but the first; the process and its positions go on."""
    assign, assignments = Metrics.set_assignment, [0]

    def changed(self: Metrics, assigned: int, *arguments: Any) -> None:  # noqa: ANN401  # handed on
        assign(self, assigned, *arguments)
        assignments[0] += bool(assigned)
        if assigned and assignments[0] > 1:
            for series in self._ingested.values():
                series.value = 0

    Metrics.set_assignment = changed  # type: ignore[method-assign, assignment]  # the broken variant


VARIANTS: Final[dict[str, Callable[..., None]]] = {
    "counts-batches": _each_batch_once,
    "composes-tenants": _composed_tenants,
    "overflows-after": _overflows_after,
    "rejects-twice": _rejects_twice,
    "clears-at-rebalance": _clears_at_rebalance,
}
