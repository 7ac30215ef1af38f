"""When the relay of broken/apexflow.py sends an event, how often, and whether it can."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from confluent_kafka import Producer

from runbook.local_stack.fakes.apexflow.relay import Relay
from runbook.local_stack.fakes.apexflow.store import Event

_TOO_LARGE: Final = "x" * 1_200_000  # librdkafka refuses a message above 1,000,000 bytes


def _late(seconds: str) -> None:
    """Leave the outbox alone for so long; False lets the relay come again."""
    begin, drained = time.monotonic() + float(seconds), Relay._drained  # noqa: SLF001

    def late(self: Relay, producer: Producer) -> bool:
        return time.monotonic() > begin and drained(self, producer)

    Relay._drained = late  # type: ignore[method-assign]  # noqa: SLF001


def _forgets_at_the_start() -> None:
    """Begin with an empty outbox, whatever was left in it."""
    enter = Relay.__enter__

    def begin(self: Relay) -> Relay:
        while events := self._store.unsent(1000):
            self._store.forget([event.row for event in events])
        return enter(self)

    Relay.__enter__ = begin  # type: ignore[method-assign, assignment]  # the broken variant


def _echoes(seconds: str) -> None:
    """Send each batch once more after so long."""
    sent = Relay._sent  # noqa: SLF001  # what is broken

    def changed(self: Relay, producer: Producer, events: list[Event]) -> list[int]:
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

    def changed(self: Relay, producer: Producer, events: list[Event]) -> list[int]:
        return sent(self, producer, [grown(event) for event in events])

    Relay._sent = changed  # type: ignore[method-assign]  # noqa: SLF001


SERVICES: Final[dict[str, Callable[..., None]]] = {
    "late": _late,
    "starts-empty": _forgets_at_the_start,
    "echoes": _echoes,
    "too-large-every": _too_large_every,
}
