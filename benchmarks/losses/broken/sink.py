"""The sink with a mistake in its counting: `python -m benchmarks.losses.broken.sink VARIANT [ARGUMENT ...]`.

Its page, its journal and its place in the group are the real ones.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

import sink.__main__ as service
from benchmarks.losses.broken import sink_choices, sink_counts
from benchmarks.losses.broken.sink_counts import Tenants
from benchmarks.losses.broken.sink_counts import counted as _counted
from sink import batches
from sink.batch_counter import BatchCounter
from sink.batches import Batch
from sink.consumer import EventConsumer
from sink.decoding import DecodedBatch, Event, RejectReason, decode_one
from sink.membership import Membership
from sink.metrics import Metrics, MetricsPage

TOPICS: Final = {"leads": "apexflow.leads.created", "jobs": "apexflow.jobs.created"}
_TYPES: Final = {"apexflow.leads.created": "lead.created", "apexflow.jobs.created": "job.created"}
_POLL_S: Final = 0.2
_COUNTER: Final = b"crm_events_ingested_total{"
_FIELDS: Final = {
    *("id", "tenant_id", "name", "email", "phone", "source", "status", "assigned_to", "tags", "created_at", "lead_id"),
    *("title", "description", "event_version", "actor", "event_type", "published_at"),
}


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

    _counted(change)


def _positive(tenants: Tenants) -> Tenants:
    return {topic: counts for topic, all_counts in tenants.items() if (counts := +all_counts)}


def _skips_every(every: str, topic: str = "") -> None:
    _per_nth(int(every), -1, [TOPICS[topic]] if topic else [*TOPICS.values()])


def _twice_every(every: str, topic: str = "") -> None:
    _per_nth(int(every), 1, [TOPICS[topic]] if topic else [*TOPICS.values()])


def _retenants(old: str, new: str) -> None:
    _counted(
        lambda tenants: {
            topic: sum((Counter({new if name == old else name: n}) for name, n in counts.items()), Counter[str]())
            for topic, counts in tenants.items()
        }
    )


def _swaps_topics() -> None:
    other = dict(zip(TOPICS.values(), reversed(TOPICS.values()), strict=True))
    _counted(lambda tenants: {other[topic]: counts for topic, counts in tenants.items()})


def _swallows_first(events: str) -> None:
    left = [int(events)]

    def change(tenants: Tenants) -> Tenants:
        for counts in tenants.values():
            for tenant in counts:
                taken = min(left[0], counts[tenant])
                left[0] -= taken
                counts[tenant] -= taken
        return _positive(tenants)

    _counted(change)


def _adds_a_phantom(topic: str, tenant: str) -> None:
    def change(tenants: Tenants) -> Tenants:
        if TOPICS[topic] in tenants:
            tenants[TOPICS[topic]][tenant] += 1
        return tenants

    _counted(change)


def _drops_tenant(name: str) -> None:
    _counted(
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

    _counted(change)


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

    _counted(change)


def _loses_partition(number: str) -> None:
    add = Batch.add

    def changed(self: Batch, messages: Sequence[Any], **options: Any) -> None:  # noqa: ANN401  # handed on
        kept = [message for message in messages if message.partition() != int(number)]
        if kept:
            add(self, kept, **options)

    Batch.add = changed  # type: ignore[method-assign]  # the broken variant


def _never_reads_partition(number: str) -> None:
    start = Membership.start_reading

    def changed(self: Membership) -> None:
        start(self)
        self.kafka.pause([one for one in self._topic_partitions() if one.partition == int(number)])

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


def _freezes_page(seconds: str) -> None:
    page, shown = Metrics.page, list[MetricsPage]()
    since = time.monotonic() + float(seconds)

    def changed(self: Metrics, **options: Any) -> MetricsPage:  # noqa: ANN401  # handed on
        if time.monotonic() < since or not shown:
            shown[:] = [page(self, **options)]
        return shown[0]

    Metrics.page = changed  # type: ignore[method-assign]  # the broken variant


def _one_batch_behind() -> None:
    held: list[Tenants] = [{}]

    def change(tenants: Tenants) -> Tenants:
        held.append(dict(tenants))
        return held.pop(0)

    _counted(change)


def _first_topic() -> None:
    _counted(
        lambda tenants: {next(iter(tenants)): sum(tenants.values(), Counter[str]())} if tenants else {},
    )


def _cuts_tenants(length: str) -> None:
    _counted(
        lambda tenants: {
            topic: sum((Counter({name[: int(length)]: n}) for name, n in counts.items()), Counter[str]())
            for topic, counts in tenants.items()
        }
    )


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


def _strict() -> None:
    """Reject an event with a field that ApexFlow's own do not have."""

    def decode_strictly(value: bytes | None) -> Event | RejectReason:
        outcome = decode_one(value)
        if isinstance(outcome, Event) and not msgspec.json.decode(value or b"").keys() <= _FIELDS:
            return RejectReason.WRONG_TYPE
        return outcome

    def decode(values: Sequence[bytes | None]) -> DecodedBatch:
        outcomes = [decode_strictly(value) for value in values]
        return DecodedBatch(
            events=[one for one in outcomes if isinstance(one, Event)],
            rejected={index: one for index, one in enumerate(outcomes) if isinstance(one, RejectReason)},
        )

    vars(batches)["decode_batch"] = decode


def _wraps_at(size: str) -> None:
    page = Metrics.page

    def wrapped(line: bytes) -> bytes:
        head, _, value = line.rpartition(b" ")
        return b"%s %d" % (head, int(float(value)) % int(size)) if line.startswith(_COUNTER) else line

    def changed(self: Metrics, **options: Any) -> MetricsPage:  # noqa: ANN401  # handed on
        shown = page(self, **options)
        return replace(shown, body=b"\n".join(map(wrapped, shown.body.split(b"\n"))))

    Metrics.page = changed  # type: ignore[method-assign]  # the broken variant


def _clears_every(seconds: str) -> None:
    page, cleared = Metrics.page, [time.monotonic()]

    def changed(self: Metrics, **options: Any) -> MetricsPage:  # noqa: ANN401  # handed on
        if time.monotonic() - cleared[0] > float(seconds):
            cleared[0] = time.monotonic()
            for series in self._ingested.values():
                series.value = 0
        return page(self, **options)

    Metrics.page = changed  # type: ignore[method-assign]  # the broken variant


def _counts_for_all_too(name: str) -> None:
    """Count each event for its tenant, and once more for a tenant that stands for all."""
    _counted(lambda tenants: {t: Counter({**counts, name: counts.total()}) for t, counts in tenants.items()})


def _first_tenant() -> None:
    _counted(
        lambda tenants: {t: Counter({next(iter(counts)): counts.total()}) for t, counts in tenants.items() if counts}
    )


def _topics_by_type() -> None:
    _counted(lambda tenants: {_TYPES[topic]: counts for topic, counts in tenants.items()})


def _forgets_at_rebalance() -> None:
    """Hold the counts in memory until the next rebalance, and forget them there; positions are stored at once."""
    assign, assignments = Membership._on_assign, [0]  # noqa: SLF001  # what is broken

    def changed(self: Membership, *arguments: Any) -> None:  # noqa: ANN401  # handed on
        assignments[0] += 1
        assign(self, *arguments)

    Membership._on_assign = changed  # type: ignore[method-assign, assignment]  # noqa: SLF001
    _counted(lambda tenants: tenants if assignments[0] > 1 else {})


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
    "skips-every": _skips_every,
    "twice-every": _twice_every,
    "retenants": _retenants,
    "swaps-topics": _swaps_topics,
    "swallows-first": _swallows_first,
    "adds-a-phantom": _adds_a_phantom,
    "drops-tenant": _drops_tenant,
    "counts-first-tenants": _counts_first_tenants,
    "counts-late": _counts_late,
    "loses-partition": _loses_partition,
    "never-reads-partition": _never_reads_partition,
    "stuck-after": _stuck_after,
    "rejects-every": _rejects_every,
    "counts-garbage": _counts_garbage,
    "freezes-page": _freezes_page,
    "one-batch-behind": _one_batch_behind,
    "first-topic": _first_topic,
    "cuts-tenants": _cuts_tenants,
    "dedups-by-id": _dedups_by_id,
    "strict": _strict,
    "wraps-at": _wraps_at,
    "clears-every": _clears_every,
    "dawdles": _dawdles,
    "counts-for-all-too": _counts_for_all_too,
    "first-tenant": _first_tenant,
    "topics-by-type": _topics_by_type,
    "forgets-at-rebalance": _forgets_at_rebalance,
    "reads-ahead": _reads_ahead,
    **sink_choices.VARIANTS,
    **sink_counts.VARIANTS,
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
