"""For which topic and tenant the sink of broken/sink.py counts an event, where it takes them from the wrong place."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.losses.broken.sink_counts import Tenants, counted
from sink import metrics
from sink.batches import Batch
from sink.decoding import Event, decode_one


def _swapped(tenants: Tenants) -> Tenants:
    """Take the tenant for the topic, and the topic for the tenant."""
    result: Tenants = defaultdict(Counter)
    for topic, counts in tenants.items():
        for tenant, events in counts.items():
            result[tenant][topic] += events
    return result


def _tenants_by_key() -> None:
    """Take the tenant from the key of a message, before its first colon."""
    add = Batch.add

    def changed(self: Batch, messages: Sequence[Any], **options: Any) -> None:  # noqa: ANN401  # handed on
        add(self, messages, **options)
        for message in messages:
            event = decode_one(message.value())
            if isinstance(event, Event):
                counts = self.tenants[message.topic()]
                counts[event.tenant_id] -= 1
                counts[message.key().decode().partition(":")[0]] += 1
        self.tenants.update({topic: +counts for topic, counts in self.tenants.items()})

    Batch.add = changed  # type: ignore[method-assign]  # the broken variant


def _overflows_into(tenant: str) -> None:
    """Count the tenants beyond the limit for one that is known."""
    vars(metrics)["OVERFLOW_TENANT"] = tenant


VARIANTS: Final[dict[str, Callable[..., None]]] = {
    "swaps-labels": lambda: counted(_swapped),
    "tenants-by-key": _tenants_by_key,
    "overflows-into": _overflows_into,
}
