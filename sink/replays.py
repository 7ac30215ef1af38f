"""Sending a stored event to its topic again, marked as a replay."""

import threading
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sink.acls import acl_of_the_producer
from sink.journal.reader import StoredMessage
from sink.properties import Properties

_ACKNOWLEDGE_S: Final = 5.0


class ReplayProducer:
    """Sends one event at a time, and waits for Kafka's acknowledgement. It connects at the first use."""

    def __init__(self, properties: Properties) -> None:
        self._properties = properties
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def send(self, message: StoredMessage) -> str:
        """Return what went wrong, or nothing. An event that was not acknowledged in time is not sent later."""
        answers: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            answers.append(error)

        with self._lock:
            try:
                self._producer = self._producer or Producer(dict(self._properties))
                self._producer.produce(message.topic, _payload(message), message.key, on_delivery=delivered)
                self._producer.flush(_ACKNOWLEDGE_S)
            except (KafkaException, BufferError) as error:
                return str(error)
            if not answers:
                self._producer.purge()
                self._producer.flush(_ACKNOWLEDGE_S)
        refusal = answers[0] if answers else None
        if refusal:
            return f"{refusal.str()}{acl_of_the_producer(refusal, message.topic)}"
        return "" if answers else "no answer"


def _payload(message: StoredMessage) -> bytes:
    """Return the event's payload with the number of its replays, and the id that was replayed."""
    payload: dict[str, Any] = msgspec.json.decode(message.value or b"{}", type=dict)
    count = payload.get("replay_count")
    payload["replay_count"] = (count if isinstance(count, int) else 0) + 1
    payload["replay_source"] = f"crm-events-sink:{message.id}"
    return msgspec.json.encode(payload)
