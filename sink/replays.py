"""Putting a kept event back on its topic, marked as a replay."""

import threading
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sink.journal.reading import Kept
from sink.properties import Properties

_ACKNOWLEDGED_S: Final = 5.0


class Replays:
    """Sends one event at a time, and waits for Kafka's acknowledgement. The producer is made at the first use."""

    def __init__(self, properties: Properties) -> None:
        self._properties = properties
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def send(self, kept: Kept) -> str:
        """Return what went wrong, or nothing. What was not acknowledged in time is not sent later."""
        answers: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            answers.append(error)

        with self._lock:
            try:
                self._producer = self._producer or Producer(dict(self._properties))
                self._producer.produce(kept.topic, marked(kept), kept.key, on_delivery=delivered)
                self._producer.flush(_ACKNOWLEDGED_S)
            except (KafkaException, BufferError) as error:
                return str(error)
            if not answers:
                self._producer.purge()
                self._producer.flush(_ACKNOWLEDGED_S)
        refused = answers[0] if answers else None
        return refused.str() if refused else "" if answers else "no answer"


def marked(kept: Kept) -> bytes:
    """Return the event's payload with how often it was replayed, and from where."""
    payload: dict[str, Any] = msgspec.json.decode(kept.value or b"{}", type=dict)
    count = payload.get("replay_count")
    payload["replay_count"] = (count if isinstance(count, int) else 0) + 1
    payload["replay_source"] = f"crm-events-sink:{kept.id}"
    return msgspec.json.encode(payload)
