"""More mistakes of ApexFlow's relay, for broken/apexflow.py: whose content an event has, and when it is sent again."""

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from runbook.local_stack.fakes.apexflow.relay import Relay
from runbook.local_stack.fakes.apexflow.store import Event

if TYPE_CHECKING:
    from confluent_kafka import Producer

Change = Callable[[int, Event], list[Event]]

_TOO_LARGE: Final = "x" * 1_200_000  # librdkafka refuses a message above 1,000,000 bytes


def _one_behind() -> Change:
    """Send each event with the content of the one before it on its topic; the first has its own."""
    before: dict[str, dict[str, Any]] = {}

    def change(_: int, event: Event) -> list[Event]:
        content = before.get(event.topic, event.value)
        before[event.topic] = event.value
        return [replace(event, value=content)]

    return change


def _camel(name: str) -> str:
    return re.sub("_(.)", lambda found: found[1].upper(), name)


def _in_camel_case(_: int, event: Event) -> list[Event]:
    return [replace(event, value={_camel(name): item for name, item in event.value.items()})]


def _echoes(seconds: str) -> None:
    """Send each batch once more after so long."""
    sent = Relay._sent  # noqa: SLF001  # what is broken

    def changed(self: Relay, producer: "Producer", events: list[Event]) -> list[int]:
        later = threading.Timer(float(seconds), sent, (self, producer, events))
        later.daemon = True
        later.start()
        return sent(self, producer, events)

    Relay._sent = changed  # type: ignore[method-assign]  # noqa: SLF001


def _too_large_every(number: str) -> None:
    """Make each n-th event of the outbox larger than the producer takes; it stays there for ever."""
    sent = Relay._sent  # noqa: SLF001  # what is broken

    def grown(event: Event) -> Event:
        is_large = event.row % int(number) == 0
        return replace(event, value={**event.value, "attachment": _TOO_LARGE}) if is_large else event

    def changed(self: Relay, producer: "Producer", events: list[Event]) -> list[int]:
        return sent(self, producer, [grown(event) for event in events])

    Relay._sent = changed  # type: ignore[method-assign]  # noqa: SLF001


CHANGES: Final[dict[str, Callable[..., Change]]] = {
    "one-behind": _one_behind,
    "camel-case": lambda: _in_camel_case,
}
SERVICES: Final[dict[str, Callable[..., None]]] = {
    "echoes": _echoes,
    "too-large-every": _too_large_every,
}
