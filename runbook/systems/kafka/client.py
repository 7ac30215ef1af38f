"""Kafka, read only: topics, positions, the sink's group and the events themselves, without ever joining a group."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, Self, TypeVar

import msgspec
from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from runbook.errors import AnswerError, UnreachableError, UsageError
from runbook.systems.http import redacted
from runbook.systems.kafka.settings import KafkaSettings

T = TypeVar("T")
Position = tuple[str, int]
_Said = deque[KafkaError]

_BATCH: Final = 500
_POLL_S: Final = 0.2
_KEPT: Final = 20
# librdkafka's own codes are public, whatever their underscore says; the others are the Kafka protocol's.
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - see above
_RESOLVE: Final = KafkaError._RESOLVE  # noqa: SLF001 - see above
_ALL_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - see above
_OUT_OF_RANGE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001 - see above
_CANNOT_SAY: Final = frozenset({KafkaError._UNSUPPORTED_FEATURE, KafkaError.UNSUPPORTED_VERSION})  # noqa: SLF001 - see above
_TIMED_OUT: Final = frozenset({KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT})  # noqa: SLF001 - see above
_VAGUE: Final = _TIMED_OUT | {KafkaError._TRANSPORT, _ALL_DOWN}  # noqa: SLF001 - see above
_NO_GROUP: Final = 69  # GROUP_ID_NOT_FOUND: what a broker may say instead of describing a dead group


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """The brokers at the addresses that they advertise, and every topic with its partitions."""

    brokers: tuple[str, ...]
    topics: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """A consumer group; each member is (client id, host, the partitions that it owns).

    `state` is "stable", "empty", "dead" (there is no such group), "preparing_rebalancing" or "completing_rebalancing".
    """

    state: str
    members: tuple[tuple[str, str, tuple[Position, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmEvent:
    """One event. `value` is None when `raw` is not a JSON object; `at` is the message's own timestamp."""

    topic: str
    partition: int
    offset: int
    key: str
    at: datetime | None
    value: dict[str, Any] | None
    raw: bytes


class Kafka:
    """One cluster, as this host reaches it. Connects on first use; `timeout_s` limits each request.

    Every method raises UnreachableError with what librdkafka said, and UsageError for a setting that it refuses.
    """

    def __init__(self, settings: KafkaSettings, timeout_s: float = 5) -> None:
        """Keep the address; nothing is opened."""
        self._settings = settings
        self._timeout_s = timeout_s
        self._where = f"Kafka at {settings.bootstrap}"
        self._fix = f"check that {settings.container} runs, and that RUNBOOK_KAFKA_BOOTSTRAP is its outside listener"
        self._said: _Said = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._opened: Consumer | None = None

    def metadata(self) -> ClusterFacts:
        """Return brokers and topics."""
        with self._asking("metadata") as consumer:
            found = consumer.list_topics(timeout=self._timeout_s)
        return ClusterFacts(
            brokers=tuple(f"{broker.host}:{broker.port}" for broker in found.brokers.values()),
            topics={name: tuple(sorted(topic.partitions)) for name, topic in found.topics.items() if not topic.error},
        )

    def end_offsets(self, topics: Iterable[str]) -> dict[Position, int]:
        """Return, by (topic, partition), the offset that the next event will get; a missing topic has no entries."""
        return {position: end for position, (_, end) in self._watermarks(topics).items()}

    def start_offsets(self, topics: Iterable[str]) -> dict[Position, int]:
        """Return, by (topic, partition), the oldest offset that is still there; a missing topic has no entries."""
        return {position: start for position, (start, _) in self._watermarks(topics).items()}

    def committed(self, topics: Iterable[str]) -> dict[Position, int | None]:
        """Return, by (topic, partition), what the sink's group has committed; None where it has not."""
        asked = [TopicPartition(topic, partition) for topic, partition in self._positions(topics)]
        if not asked:
            return {}
        with self._asking("committed offsets") as consumer:
            found = consumer.committed(asked, timeout=self._timeout_s)
        for one in found:
            if one.error is not None:
                self._fail(one.error, f"committed offset of {one.topic}/{one.partition}")
        return {(one.topic, one.partition): one.offset if one.offset >= 0 else None for one in found}

    def group(self) -> GroupFacts | None:
        """Return the sink's group; None when the broker cannot say (librdkafka's mock cluster)."""
        name = self._settings.group
        self.metadata()  # Says exactly why no broker answers; the admin client only says that none does.
        admin = self._opened_with(AdminClient, {}, deque(maxlen=_KEPT))
        try:
            answers = admin.describe_consumer_groups([name], request_timeout=self._timeout_s)
            return group_facts(answers[name].result())
        except KafkaException as error:
            problem: KafkaError = error.args[0]
            if problem.code() in _CANNOT_SAY:
                return None
            if problem.code() == _NO_GROUP:
                return GroupFacts(state="dead", members=())
            self._fail(problem, f"group {name}")

    def events(self, between: Mapping[Position, tuple[int, int]], *, deadline_s: float) -> tuple[CrmEvent, ...]:
        """Return every event from a start up to, not including, an end offset, by topic, partition and offset.

        Offsets may have gaps (compaction, transactions). Raises UnreachableError, reason "timeout", naming what is
        missing when an end is not reached in `deadline_s` seconds, and AnswerError, code "offset_out_of_range", when
        the start is no longer there.
        """
        deadline = time.monotonic() + deadline_s
        reading = _Reading({position: ends for position, ends in between.items() if ends[0] < ends[1]})
        consumer = self._consumer(reading.said)
        try:
            consumer.assign([TopicPartition(*position, ends[0]) for position, ends in reading.between.items()])
            while reading.open:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    self._give_up(reading, deadline_s)
                for message in _batch(consumer, min(left_s, _POLL_S)):
                    self._take(reading, message)
        except KafkaException as error:
            self._fail(error.args[0], "events", reading.said)
        finally:
            consumer.close()
        return tuple(sorted(reading.events, key=lambda event: (event.topic, event.partition, event.offset)))

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _positions(self, topics: Iterable[str]) -> list[Position]:
        known = self.metadata().topics
        return [(topic, partition) for topic in topics for partition in known.get(topic, ())]

    def _watermarks(self, topics: Iterable[str]) -> dict[Position, tuple[int, int]]:
        positions = self._positions(topics)
        with self._asking("offsets") as consumer:
            return {
                position: consumer.get_watermark_offsets(TopicPartition(*position), timeout=self._timeout_s)
                for position in positions
            }

    @contextmanager
    def _asking(self, what: str) -> Iterator[Consumer]:
        """Lend the consumer that asks questions; it is never assigned anything, so threads can share it."""
        with self._lock:
            if self._opened is None:
                self._opened = self._consumer(self._said)
            consumer = self._opened
        try:
            yield consumer
            self._said.clear()  # What went wrong before an answer is history.
        except KafkaException as error:
            consumer.poll(0)  # Delivers to `_said` why no broker answered; the exception itself only says that.
            self._fail(error.args[0], what, self._said)

    def _consumer(self, said: _Said) -> Consumer:
        """Open a consumer that can ask on behalf of the sink's group, and never commits, joins or creates topics."""
        mine = {
            "group.id": self._settings.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "auto.offset.reset": "error",
        }
        return self._opened_with(Consumer, mine, said)

    def _opened_with(self, kind: Callable[[dict[str, Any]], T], mine: Mapping[str, object], said: _Said) -> T:
        """Open a client of librdkafka: the operator's options, then ours, which they cannot change.

        What it says about its brokers is kept in `said`.
        """
        ours = {"bootstrap.servers": self._settings.bootstrap, "log_level": 0, "error_cb": said.append, **mine}
        try:
            return kind({**self._settings.options, **ours})
        except KafkaException as error:
            raise UsageError(
                f"librdkafka refuses the settings: {redacted(error.args[0].str(), self._secrets())}",
                where=self._where,
                fix="correct RUNBOOK_KAFKA_OPTIONS, or options under [targets.NAME.kafka] in runbook.toml",
            ) from None

    def _secrets(self) -> tuple[str, ...]:
        options = self._settings.options.items()
        return tuple(value for name, value in options if value and ("password" in name or "secret" in name))

    def _take(self, reading: "_Reading", message: Message) -> None:
        error = message.error()
        if error is None:
            reading.take(message)
        elif error.code() == _EOF:
            reading.reached(_position(message), message.offset() or 0)
        elif error.code() in _OUT_OF_RANGE:
            raise AnswerError(
                f"Events are no longer there: {message.topic()}/{message.partition()}: {error.str()}",
                where=self._where,
                fix="inv traffic, and verify that newer run; or let the topic keep its events longer",
                status=0,
                code="offset_out_of_range",
            )
        else:
            self._fail(error, "events", reading.said)

    def _give_up(self, reading: "_Reading", deadline_s: float) -> NoReturn:
        missing = ", ".join(f"{topic}/{partition} before {end}" for (topic, partition), end in reading.open.items())
        why = f" ({reading.said[-1].str()})" if reading.said else ""
        seen = f"Kafka did not hand out all events within {deadline_s:g} s: {missing} is missing{why}"
        raise UnreachableError(seen, where=self._where, fix=self._fix, reason="timeout") from None

    def _fail(self, error: KafkaError, what: str, said: Iterable[KafkaError] = ()) -> NoReturn:
        """Raise the request's error; one that only says "no answer" gives way to what was last said about a broker."""
        causes = [one for one in said if one.code() != _ALL_DOWN] if error.code() in _VAGUE else []
        cause = causes[-1] if causes else error
        seen = f"Kafka did not answer ({what}): {redacted(cause.str(), self._secrets())}"
        raise UnreachableError(seen, where=self._where, fix=self._fix, reason=_reason(cause)) from None


class _Reading:
    """What is still to be read: `open` holds the end offset of each partition that has not reached it."""

    def __init__(self, between: Mapping[Position, tuple[int, int]]) -> None:
        self.between = between
        self.open = {position: end for position, (_, end) in between.items()}
        self.events: list[CrmEvent] = []
        self.said: _Said = deque(maxlen=_KEPT)

    def take(self, message: Message) -> None:
        position, offset = _position(message), message.offset() or 0
        if position in self.open and offset < self.open[position]:
            self.events.append(_event(message))
        self.reached(position, offset + 1)

    def reached(self, position: Position, next_offset: int) -> None:
        """Note that everything before an offset has been seen, gaps included."""
        if next_offset >= self.open.get(position, next_offset + 1):
            del self.open[position]


def _batch(consumer: Consumer, wait_s: float) -> list[Message]:
    """Return what has arrived: `consume` alone would wait for a full batch."""
    first = consumer.poll(wait_s)
    return [] if first is None else [first, *consumer.consume(_BATCH - 1, 0)]


def _position(message: Message) -> Position:
    return message.topic() or "", message.partition() or 0


def _event(message: Message) -> CrmEvent:
    topic, partition = _position(message)
    raw = message.value() or b""
    kind, epoch_ms = message.timestamp()
    return CrmEvent(
        topic=topic,
        partition=partition,
        offset=message.offset() or 0,
        key=(message.key() or b"").decode("utf-8", errors="replace"),
        at=None if kind == TIMESTAMP_NOT_AVAILABLE else datetime.fromtimestamp(epoch_ms / 1000, UTC),
        value=_json_object(raw),
        raw=raw,
    )


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def group_facts(described: Any) -> GroupFacts:  # noqa: ANN401 - the SDK does not export its type
    """Return what the SDK describes as facts of our own."""
    return GroupFacts(
        state=described.state.name.lower(),
        members=tuple(
            (
                member.client_id,
                member.host.removeprefix("/"),
                tuple((one.topic, one.partition) for one in member.assignment.topic_partitions),
            )
            for member in described.members
        ),
    )


def _reason(error: KafkaError) -> str:
    """Return the reason of UnreachableError; librdkafka has a code for names, but only prose for a refusal."""
    if error.code() == _RESOLVE:
        return "dns"
    if "refused" in error.str():
        return "refused"
    return "timeout" if error.code() in _TIMED_OUT else "broken"
