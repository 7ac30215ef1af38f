"""What the sink of broken/sink.py counts of a batch, and when it forgets; `counted` changes the counts of each."""

import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sink.batch_counter import BatchCounter
from sink.batches import Batch
from sink.decoding import RejectReason
from sink.metrics import Metrics
from sink.unlabelled_metrics import OVERFLOW_TENANT

TOPICS: Final = {"leads": "apexflow.leads.created", "jobs": "apexflow.jobs.created"}
_TYPES: Final = {"apexflow.leads.created": "lead.created", "apexflow.jobs.created": "job.created"}

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


def _positive(tenants: Tenants) -> Tenants:
    return {topic: counts for topic, all_counts in tenants.items() if (counts := +all_counts)}


def _per_nth(every: int, extra: int, topics: Sequence[str]) -> None:
    """Count each n-th event of these topics `extra` times more, or less."""
    seen: Counter[str] = Counter()

    def change(tenants: Tenants) -> Tenants:
        for topic in tenants.keys() & set(topics):
            for tenant, events in tenants[topic].items():
                before = seen[topic]
                seen[topic] += events
                tenants[topic][tenant] += extra * (seen[topic] // every - before // every)
        return _positive(tenants)

    counted(change)


def _skips_every(every: str, topic: str = "") -> None:
    _per_nth(int(every), -1, [TOPICS[topic]] if topic else [*TOPICS.values()])


def _twice_every(every: str, topic: str = "") -> None:
    _per_nth(int(every), 1, [TOPICS[topic]] if topic else [*TOPICS.values()])


def _retenants(old: str, new: str) -> None:
    counted(
        lambda tenants: {
            topic: sum((Counter({new if name == old else name: n}) for name, n in counts.items()), Counter[str]())
            for topic, counts in tenants.items()
        }
    )


def _swaps_topics() -> None:
    other = dict(zip(TOPICS.values(), reversed(TOPICS.values()), strict=True))
    counted(lambda tenants: {other[topic]: counts for topic, counts in tenants.items()})


def _swallows_first(events: str) -> None:
    left = [int(events)]

    def change(tenants: Tenants) -> Tenants:
        for counts in tenants.values():
            for tenant in counts:
                taken = min(left[0], counts[tenant])
                left[0] -= taken
                counts[tenant] -= taken
        return _positive(tenants)

    counted(change)


def _adds_a_phantom(topic: str, tenant: str) -> None:
    def change(tenants: Tenants) -> Tenants:
        if TOPICS[topic] in tenants:
            tenants[TOPICS[topic]][tenant] += 1
        return tenants

    counted(change)


def _drops_tenant(name: str) -> None:
    counted(
        lambda tenants: _positive(
            {t: Counter({k: n for k, n in counts.items() if k != name}) for t, counts in tenants.items()}
        )
    )


def _counts_first_tenants(cap: str) -> None:
    """Forget the tenants beyond the limit, instead of counting them together."""
    known: set[str] = set()

    def change(tenants: Tenants) -> Tenants:
        for counts in tenants.values():
            known.update([name for name in counts if name not in known][: int(cap) - len(known)])
        return _positive({t: Counter({k: n for k, n in c.items() if k in known}) for t, c in tenants.items()})

    counted(change)


def _counts_late(seconds: str) -> None:
    due = time.monotonic() + float(seconds)
    held: Tenants = {}

    def change(tenants: Tenants) -> Tenants:
        for topic, counts in tenants.items():
            held[topic] = held.get(topic, Counter()) + counts
        if time.monotonic() < due:
            return {}
        now = dict(held)
        held.clear()
        return now

    counted(change)


def _one_batch_behind() -> None:
    held: list[Tenants] = [{}]

    def change(tenants: Tenants) -> Tenants:
        held.append(dict(tenants))
        return held.pop(0)

    counted(change)


def _first_topic() -> None:
    counted(
        lambda tenants: {next(iter(tenants)): sum(tenants.values(), Counter[str]())} if tenants else {},
    )


def _cuts_tenants(length: str) -> None:
    counted(
        lambda tenants: {
            topic: sum((Counter({name[: int(length)]: n}) for name, n in counts.items()), Counter[str]())
            for topic, counts in tenants.items()
        }
    )


def _counts_for_all_too(name: str) -> None:
    """Count each event for its tenant, and once more for a tenant that stands for all."""
    counted(lambda tenants: {t: Counter({**counts, name: counts.total()}) for t, counts in tenants.items()})


def _first_tenant() -> None:
    counted(
        lambda tenants: {t: Counter({next(iter(counts)): counts.total()}) for t, counts in tenants.items() if counts}
    )


def _topics_by_type() -> None:
    counted(lambda tenants: {_TYPES[topic]: counts for topic, counts in tenants.items()})


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
    "skips-every": _skips_every,
    "twice-every": _twice_every,
    "retenants": _retenants,
    "swaps-topics": _swaps_topics,
    "swallows-first": _swallows_first,
    "adds-a-phantom": _adds_a_phantom,
    "drops-tenant": _drops_tenant,
    "counts-first-tenants": _counts_first_tenants,
    "counts-late": _counts_late,
    "one-batch-behind": _one_batch_behind,
    "first-topic": _first_topic,
    "cuts-tenants": _cuts_tenants,
    "counts-for-all-too": _counts_for_all_too,
    "first-tenant": _first_tenant,
    "topics-by-type": _topics_by_type,
    "counts-batches": _each_batch_once,
    "composes-tenants": _composed_tenants,
    "overflows-after": _overflows_after,
    "rejects-twice": _rejects_twice,
    "clears-at-rebalance": _clears_at_rebalance,
}
