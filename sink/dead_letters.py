"""Rejected messages, sent to the dead-letter topic with their original bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sink.acls import acl_of_the_producer
from sink.decoding import RejectReason
from sink.properties import Properties

SHORTENED_BYTES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A rejected message, and why it was rejected."""

    message: Message
    reason: RejectReason
    is_shortened: bool = False  # the dead-letter topic refuses it in full

    def origin(self) -> str:
        """Return topic, partition and offset of the message, for the log."""
        return f"{self.message.topic()} partition {self.message.partition()} offset {self.message.offset()}"

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """Return the message's own headers, then its origin and the reason."""
        added = {
            "topic": self.message.topic(),
            "partition": self.message.partition(),
            "offset": self.message.offset(),
            "reason": self.reason,
        }
        if self.is_shortened:
            added["original-bytes"] = len(self.message.value() or b"")
        return [
            *(() if self.is_shortened else self.message.headers() or ()),
            *((f"crm-events-sink.{name}", str(value)) for name, value in added.items()),
        ]

    def value(self) -> bytes | None:
        """Return the message's bytes, or the first of them."""
        value = self.message.value()
        return value[:SHORTENED_BYTES] if value and self.is_shortened else value

    def key(self) -> str | bytes | None:
        """Return the message's key, unless it is shortened: the key may be what is too large."""
        return None if self.is_shortened else self.message.key()


class DeadLetterProducer:
    """Sends dead letters again and again until the broker has acknowledged them."""

    def __init__(self, *, topic: str, properties: Properties) -> None:
        self._topic = topic
        self._properties = properties
        self._producer: Producer | None = None
        self._unsent: list[DeadLetter] = []
        self._in_flight = 0
        self._last_error = ""

    @property
    def problem(self) -> str:
        """What the broker answered last, for the operator."""
        return f"the dead-letter topic {self._topic} does not acknowledge: {self._last_error or 'no answer'}"

    def enqueue(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters; `flush` sends them."""
        self._unsent.extend(letters)

    def flush(self, timeout_s: float) -> bool:
        """Send what is unsent, wait, and return whether all is acknowledged. The next call sends again what failed."""
        producer = self._producer or Producer(dict(self._properties))
        self._producer = producer
        unsent, self._unsent = self._unsent, []
        for letter in unsent:
            self._produce(producer, letter)
        producer.flush(timeout_s)
        return not (self._unsent or self._in_flight)

    def discard(self) -> None:
        """Drop what is unsent: those messages will be read again, here or by another member."""
        self._unsent.clear()

    def _produce(self, producer: Producer, letter: DeadLetter) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            self._in_flight -= 1
            if error is not None:
                self._retry(letter, error)

        try:
            producer.produce(self._topic, letter.value(), letter.key(), headers=letter.headers(), on_delivery=delivered)
        except KafkaException as error:
            self._retry(letter, error.args[0])
        except BufferError as error:
            self._requeue(letter, str(error))
        else:
            self._in_flight += 1

    def _retry(self, letter: DeadLetter, error: KafkaError) -> None:
        """Send it again; shortened if it is too large: a message that the broker took may be so with our headers."""
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            letter = replace(letter, is_shortened=True)
        self._requeue(letter, f"{error.str()}{acl_of_the_producer(error, self._topic)}")

    def _requeue(self, letter: DeadLetter, problem: str) -> None:
        self._unsent.append(letter)
        self._last_error = problem
