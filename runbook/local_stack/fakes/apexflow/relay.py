"""The relay: outbox to Kafka, at least once, in order, woken when there is something to send."""

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from runbook.local_stack.fakes.apexflow.database import DatabaseError
from runbook.local_stack.fakes.apexflow.store import Event, Store, timestamp
from runbook.local_stack.fakes.serving import log

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

_BATCH_EVENTS = 500
_RETRY_S = 1.0
_FLUSH_STEP_S = 0.2


class Relay:
    """A thread that sends the outbox; entering starts it, leaving stops it, with what is unsent kept for later.

    A broker that is away is waited for by librdkafka: an idempotent producer without a time limit repeats a request
    without doubling its events. What Kafka confirmed just before a kill is sent once more after the next start.
    """

    def __init__(self, store: Store, bootstrap: Callable[[], str | None]) -> None:
        """`bootstrap` returns the broker's address, or None while it is not known."""
        self._store = store
        self._bootstrap = bootstrap
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def wake(self) -> None:
        """Say that the outbox has a new row."""
        self._wake.set()

    def __enter__(self) -> Self:
        self._wake.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=2 * _FLUSH_STEP_S)

    def _run(self) -> None:
        producer = self._producer()
        all_sent = True
        while not self._stopping and producer is not None:
            self._wake.wait(None if all_sent else _RETRY_S)
            self._wake.clear()
            all_sent = self._drained(producer)

    def _producer(self) -> "Producer | None":
        """Return a producer once the broker's address is known; None if the end comes first."""
        from confluent_kafka import Producer  # noqa: PLC0415 - loads a large library, while HTTP is served already

        while (address := self._bootstrap()) is None:
            self._wake.wait(_FLUSH_STEP_S)
            if self._stopping:
                return None
            self._wake.clear()
        self._wake.set()
        return Producer(
            {
                "bootstrap.servers": address,
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 0,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 3,
            }
        )

    def _drained(self, producer: "Producer") -> bool:
        """Send until the outbox is empty; False if something is left that has to wait."""
        try:
            while events := self._store.unsent(_BATCH_EVENTS):
                confirmed = self._sent(producer, events)
                self._store.forget(confirmed)
                if len(confirmed) < len(events):
                    return False
        except DatabaseError as error:
            log(f"relay: the outbox cannot be read: {error}")
            return False
        return True

    def _sent(self, producer: "Producer", events: list[Event]) -> list[int]:
        """Return the rows that Kafka confirmed."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - see _producer

        confirmed: list[int] = []

        def reporter(row: int) -> "Callable[[KafkaError | None, Message], None]":
            def report(error: "KafkaError | None", _: "Message") -> None:
                if error is None:
                    confirmed.append(row)
                else:
                    log(f"relay: event {row} was not delivered: {error}")

            return report

        for event in events:
            value = json.dumps(event.value | {"published_at": timestamp()}, ensure_ascii=False)
            try:
                producer.produce(event.topic, value.encode(), event.key.encode(), on_delivery=reporter(event.row))
            except KafkaException as error:  # refused before it is sent, such as a value above the size limit
                log(f"relay: event {event.row} cannot be sent: {error}")
        while producer.flush(_FLUSH_STEP_S) and not self._stopping:
            pass
        return confirmed
