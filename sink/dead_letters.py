"""Rejected messages, kept on a topic of their own with their original bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sink.decoding import Reason
from sink.properties import Properties

SHORTENED_BYTES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that is no event, and why."""

    message: Message
    reason: Reason
    is_shortened: bool = False  # the topic does not take all of it

    def place(self) -> str:
        """Say where the message stands, for the log."""
        return f"{self.message.topic()} partition {self.message.partition()} offset {self.message.offset()}"

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """Return the message's own headers, and after them where it came from."""
        origin = {
            "topic": self.message.topic(),
            "partition": self.message.partition(),
            "offset": self.message.offset(),
            "reason": self.reason,
        }
        if self.is_shortened:
            origin["original-bytes"] = len(self.message.value() or b"")
        return [
            *(() if self.is_shortened else self.message.headers() or ()),
            *((f"crm-events-sink.{name}", str(value)) for name, value in origin.items()),
        ]

    def value(self) -> bytes | None:
        """Return the message's bytes, or as many as are sure to find room."""
        value = self.message.value()
        return value[:SHORTENED_BYTES] if value and self.is_shortened else value

    def key(self) -> str | bytes | None:
        """Return the message's key, unless that may be what finds no room."""
        return None if self.is_shortened else self.message.key()


class DeadLetters:
    """Sends rejected messages and knows which of them the broker has not acknowledged yet."""

    def __init__(self, *, topic: str, properties: Properties) -> None:
        self._topic = topic
        self._properties = properties
        self._producer: Producer | None = None
        self._unsent: list[DeadLetter] = []
        self._in_flight = 0
        self._last_error = ""

    @property
    def problem(self) -> str:
        """What the broker said last, for the operator."""
        return f"dead-letter topic {self._topic} does not acknowledge: {self._last_error or 'no answer'}"

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Take responsibility for these messages; `acknowledged` says when it is done."""
        self._unsent.extend(letters)

    def acknowledged(self, timeout_s: float) -> bool:
        """Send what is unsent, wait, and say whether everything is safe. What failed is sent again at the next call."""
        producer = self._producer or Producer(dict(self._properties))
        self._producer = producer
        unsent, self._unsent = self._unsent, []
        for letter in unsent:
            self._produce(producer, letter)
        producer.flush(timeout_s)
        return not (self._unsent or self._in_flight)

    def forget(self) -> None:
        """Give up what is unsent: another member of the group now reads those messages."""
        self._unsent.clear()

    def _produce(self, producer: Producer, letter: DeadLetter) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            self._in_flight -= 1
            if error is not None:
                self._failed(letter, error)

        try:
            producer.produce(self._topic, letter.value(), letter.key(), headers=letter.headers(), on_delivery=delivered)
        except KafkaException as error:
            self._failed(letter, error.args[0])
        except BufferError as error:
            self._keep(letter, str(error))
        else:
            self._in_flight += 1

    def _failed(self, letter: DeadLetter, error: KafkaError) -> None:
        """Send it again; a message that the broker took may be too large for it with our headers, then shortened."""
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            letter = replace(letter, is_shortened=True)
        self._keep(letter, error.str())

    def _keep(self, letter: DeadLetter, problem: str) -> None:
        self._unsent.append(letter)
        self._last_error = problem
