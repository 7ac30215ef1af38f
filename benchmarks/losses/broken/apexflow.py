"""ApexFlow with a broken outbox: `python -m benchmarks.losses.broken.apexflow VARIANT [ARGUMENT] -- OPTIONS`.

The variant changes what the relay hands to Kafka; what the API answers and stores stays right, except for
`nothing-stored`.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final

from runbook.local_stack.fakes.apexflow import __main__ as service
from runbook.local_stack.fakes.apexflow.relay import Relay
from runbook.local_stack.fakes.apexflow.store import JOBS_TOPIC, Event, Store

Change = Callable[[int, Event], list[Event]]
"""The number of an event since the start (from 1) and the event, to what is sent of it."""

NAMES: Final = {"leads": "apexflow.leads.created", "jobs": JOBS_TOPIC}
_INVENTED: Final = 900_000


class Raw(dict[str, Any]):
    """A value that is sent as these bytes, whatever the relay makes of a document."""

    def __init__(self, text: bytes | None) -> None:
        super().__init__()
        self.text = text

    def __or__(self, _: object) -> "Raw":  # type: ignore[override]  # the relay adds `published_at`
        return self


def _each(number: str, change: Callable[[Event], list[Event]]) -> Change:
    every = int(number)
    return lambda n, event: change(event) if n % every == 0 else [event]


def _edited(**fields: object) -> Callable[[Event], list[Event]]:
    def edited(event: Event) -> list[Event]:
        value = {**event.value, **fields}
        return [replace(event, value={name: item for name, item in value.items() if item is not None})]

    return edited


def _cut(event: Event) -> list[Event]:
    text = json.dumps(event.value).encode()
    return [replace(event, value=Raw(text[: len(text) // 2]))]


def _first_again() -> Change:
    first: dict[str, Event] = {}

    def change(_: int, event: Event) -> list[Event]:
        return [replace(first.setdefault(event.topic, event), row=event.row)]

    return change


def _shifted(by: str) -> Change:
    return lambda _, event: [replace(event, value={**event.value, "id": event.value["id"] + int(by)})]


def _moved(topic: str, to: str) -> Change:
    return lambda _, event: [replace(event, topic=NAMES.get(to, to)) if event.topic == NAMES[topic] else event]


def _repeated(topic: str, times: str) -> Change:
    return lambda _, event: [event] * (int(times) if event.topic == NAMES[topic] else 1)


def _same_order(_: int, event: Event) -> list[Event]:
    return [event]


CHANGES: Final[dict[str, Callable[..., Change]]] = {
    "drops-every": lambda n: _each(n, lambda _: []),
    "drops-topic": lambda topic: lambda _, event: [] if event.topic == NAMES[topic] else [event],
    "drops-first": lambda many: lambda n, event: [] if n <= int(many) else [event],
    "drops-after": lambda many: lambda n, event: [event] if n <= int(many) else [],
    "doubles-every": lambda n: _each(n, lambda event: [event, event]),
    "repeats": _repeated,
    "moves": _moved,
    "cuts-every": lambda n: _each(n, _cut),
    "empties-every": lambda n: _each(n, lambda event: [replace(event, value=Raw(None))]),
    "tenant-every": lambda n, tenant: _each(n, _edited(tenant_id=tenant)),
    "no-tenant-every": lambda n: _each(n, _edited(tenant_id=None)),
    "type-every": lambda n, kind: _each(n, _edited(event_type=kind)),
    "shifts-ids": _shifted,
    "first-again": _first_again,
    "reorders": lambda: _same_order,
    "nothing-stored": lambda _: _same_order,
    "late": lambda _: _same_order,
    "slow": lambda _: _same_order,
}


class Sending:
    """Takes the place of `Relay._sent`: changes what is sent, and confirms all rows as if nothing had happened."""

    def __init__(self, variant: str, arguments: Sequence[str]) -> None:
        self._variant = variant
        self._change = CHANGES[variant](*arguments)
        self._numbers = count(1)

    def __call__(self, producer: Any, events: list[Event]) -> list[int]:  # noqa: ANN401  # librdkafka's has no type
        """Send, and return all rows as confirmed."""
        changed = [one for event in events for one in self._change(next(self._numbers), event)]
        for event in reversed(changed) if self._variant == "reorders" else changed:
            value = event.value.text if isinstance(event.value, Raw) else json.dumps(event.value).encode()
            producer.produce(event.topic, value, event.key.encode())
        producer.flush(10)
        return [event.row for event in events]


def _store_nothing(every: int) -> None:
    """Answer each n-th lead with an invented id."""
    create, numbers = Store.create_lead, count(1)

    def create_lead(self: Store, tenant: str, lead: Any) -> Any:  # noqa: ANN401  # as it is
        number = next(numbers)
        if number % every:
            return create(self, tenant, lead)
        return {"id": _INVENTED + number, "tenant_id": tenant, **lead, "created_at": "2026-01-01T00:00:00"}

    Store.create_lead = create_lead  # type: ignore[method-assign]  # the broken variant


def _wait_first(seconds: float, method: Callable[..., Any]) -> Callable[..., Any]:
    def slow(*arguments: Any) -> Any:  # noqa: ANN401  # any method
        threading.Event().wait(seconds)
        return method(*arguments)

    return slow


def main() -> None:
    """Break what the variant names, then be ApexFlow."""
    split = sys.argv.index("--")
    variant, *arguments = sys.argv[1:split]
    del sys.argv[1 : split + 1]
    sending = Sending(variant, arguments)
    Relay._sent = lambda _, producer, events: sending(producer, events)  # type: ignore[method-assign, assignment]  # noqa: SLF001
    if variant == "nothing-stored":
        _store_nothing(int(arguments[0]))
    elif variant == "slow":
        Store.create_lead = _wait_first(float(arguments[0]), Store.create_lead)  # type: ignore[method-assign]
        Store.create_job = _wait_first(float(arguments[0]), Store.create_job)  # type: ignore[method-assign]
    elif variant == "late":
        begin, unsent = time.monotonic() + float(arguments[0]), Store.unsent
        Store.unsent = lambda self, limit: unsent(self, limit) if time.monotonic() > begin else []  # type: ignore[method-assign]
    service.main()


if __name__ == "__main__":
    main()
