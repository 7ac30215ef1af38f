"""Kafka, read only: topics, positions, the sink's group and the events themselves, without ever joining a group."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar

from runbook.errors import AnswerError, UnreachableError, UsageError
from runbook.invocation import inv
from runbook.systems.kafka.records import ClusterFacts, CrmEvent, GroupFacts, Position
from runbook.systems.kafka.settings import KafkaSettings
from runbook.systems.redaction import redacted, secret_forms

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message

    from runbook.systems.kafka.reading import Reading

T = TypeVar("T")

_POLL_S: Final = 0.2
_KEPT: Final = 20
_SECRET: Final = ("password", "secret", "passphrase", "pem", "oauthbearer.config")
"""Parts of the names of librdkafka's settings that hold a secret."""


class Kafka:
    """One cluster, as this host reaches it. Connects on first use; `timeout_s` limits each request.

    Every method raises UnreachableError with what librdkafka said, UsageError for a setting that it refuses, and
    AnswerError: code "unauthorized" for a refused login, "forbidden" for a missing ACL, "tls" for a certificate.
    """

    def __init__(self, settings: KafkaSettings, timeout_s: float = 5) -> None:
        """Keep the address; nothing is opened."""
        self._settings = settings
        self._timeout_s = timeout_s
        self._where = f"Kafka at {settings.bootstrap}"
        self._fix = (
            f"check that {settings.container} runs, and that {settings.place_of('bootstrap')} is its outside listener"
        )
        self._said: deque[KafkaError] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._opened: Consumer | None = None

    def metadata(self) -> ClusterFacts:
        """Return brokers and topics."""
        with self._asking("metadata") as consumer:
            found = consumer.list_topics(timeout=self._timeout_s)
        return ClusterFacts(
            brokers=tuple(f"{broker.host}:{broker.port}" for broker in found.brokers.values()),
            topics={name: tuple(sorted(topic.partitions)) for name, topic in found.topics.items() if not topic.error},
            cluster_id=found.cluster_id or "",
        )

    def end_offsets(self, topics: Iterable[str]) -> dict[Position, int]:
        """Return, by (topic, partition), the offset that the next event will get; a missing topic has no entries."""
        return {position: end for position, (_, end) in self._watermarks(topics).items()}

    def start_offsets(self, topics: Iterable[str]) -> dict[Position, int]:
        """Return, by (topic, partition), the oldest offset that is still there; a missing topic has no entries."""
        return {position: start for position, (start, _) in self._watermarks(topics).items()}

    def committed(self, topics: Iterable[str]) -> dict[Position, int | None]:
        """Return, by (topic, partition), what the sink's group has committed; None where it has not."""
        from confluent_kafka import TopicPartition

        asked = [TopicPartition(topic, partition) for topic, partition in self._positions(topics)]
        if not asked:
            return {}
        with self._asking("committed offsets") as consumer:
            found = consumer.committed(asked, timeout=self._timeout_s)
        for one in found:
            if one.error is not None:
                self._fail(one.error, f"committed offset of {one.topic}/{one.partition}", topic=one.topic)
        return {(one.topic, one.partition): one.offset if one.offset >= 0 else None for one in found}

    def group(self) -> GroupFacts | None:
        """Return the sink's group; None when the broker cannot say (librdkafka's mock cluster)."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        from runbook.systems.kafka.errors import CANNOT_SAY, NO_GROUP

        name = self._settings.group
        self.metadata()  # Says exactly why no broker answers; the admin client only says that none does.
        admin = self._opened_with(AdminClient, {}, deque(maxlen=_KEPT))
        try:
            answers = admin.describe_consumer_groups([name], request_timeout=self._timeout_s)
            return group_facts(answers[name].result())
        except KafkaException as error:
            problem: KafkaError = error.args[0]
            if problem.code() in CANNOT_SAY:
                return None
            if problem.code() == NO_GROUP:
                return GroupFacts(state="dead", members=())
            self._fail(problem, f"group {name}")

    def events(self, between: Mapping[Position, tuple[int, int]], *, deadline_s: float) -> tuple[CrmEvent, ...]:
        """Return every event from a start up to, not including, an end offset, by topic, partition and offset.

        Offsets may have gaps (compaction, transactions). Raises UnreachableError, reason "timeout", naming what is
        missing when an end is not reached in `deadline_s` seconds, and AnswerError, code "offset_out_of_range", when
        the start is no longer there.
        """
        from confluent_kafka import KafkaException, TopicPartition

        from runbook.systems.kafka.reading import Reading, batch

        deadline = time.monotonic() + deadline_s
        reading = Reading({position: ends for position, ends in between.items() if ends[0] < ends[1]})
        consumer = self._consumer(reading.said)
        try:
            consumer.assign([TopicPartition(*position, ends[0]) for position, ends in reading.between.items()])
            while reading.open:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    self._give_up(reading, deadline_s)
                for message in batch(consumer, min(left_s, _POLL_S)):
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
        wanted, known = tuple(topics), self.metadata().topics
        for topic in wanted:
            if topic not in known:
                self._must_be_missing(topic)
        return [(topic, partition) for topic in wanted for partition in known.get(topic, ())]

    def _must_be_missing(self, topic: str) -> None:
        """Ask for a topic by its name: the list of all leaves out what we may not see, as if it were not there."""
        from runbook.systems.kafka.refusals import TOPIC_REFUSED

        with self._asking("metadata") as consumer:
            error = consumer.list_topics(topic, timeout=self._timeout_s).topics[topic].error
        if error is not None and error.code() == TOPIC_REFUSED:
            self._fail(error, "metadata", topic=topic)

    def _watermarks(self, topics: Iterable[str]) -> dict[Position, tuple[int, int]]:
        from confluent_kafka import TopicPartition

        found = {}
        for position in self._positions(topics):
            with self._asking("offsets", topic=position[0]) as consumer:
                found[position] = consumer.get_watermark_offsets(TopicPartition(*position), timeout=self._timeout_s)
        return found

    @contextmanager
    def _asking(self, what: str, *, topic: str = "") -> "Iterator[Consumer]":
        """Lend the consumer that asks questions; it is never assigned anything, so threads can share it."""
        from confluent_kafka import KafkaException

        with self._lock:
            if self._opened is None:
                self._opened = self._consumer(self._said)
            consumer = self._opened
        try:
            yield consumer
            self._said.clear()  # What went wrong before an answer is history.
        except KafkaException as error:
            # Delivers to `_said` why no broker answered, or brings why there is no coordinator of the group; the
            # exception itself says only that nobody answered.
            message = consumer.poll(0)
            refusal = message.error() if message else None
            self._fail(error.args[0], what, [*self._said, *([refusal] if refusal else [])], topic=topic)

    def _consumer(self, said: "deque[KafkaError]") -> "Consumer":
        """Open a consumer that can ask on behalf of the sink's group, and never commits, joins or creates topics."""
        from confluent_kafka import Consumer

        mine = {
            "group.id": self._settings.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "auto.offset.reset": "error",
        }
        return self._opened_with(Consumer, mine, said)

    def _opened_with(
        self, kind: Callable[[dict[str, Any]], T], mine: Mapping[str, object], said: "deque[KafkaError]"
    ) -> T:
        """Open a client of librdkafka: the operator's options, then ours, which they cannot change.

        What it says about its brokers is kept in `said`.
        """
        from confluent_kafka import KafkaException

        ours = {
            "bootstrap.servers": self._settings.bootstrap,
            "log_level": 0,
            "error_cb": said.append,
            "enable.metrics.push": False,  # KIP-714: a broker may ask clients for their metrics; we only read
            **mine,
        }
        try:
            return kind({**self._settings.librdkafka(), **ours})
        except KafkaException as error:
            refusal = self._shown(error.args[0])
            raise UsageError(
                f"librdkafka refuses the settings: {refusal}",
                where=self._where,
                fix=f"correct {self._settings.places_in(refusal)}",
            ) from None

    def _shown(self, error: "KafkaError") -> str:
        """Return what librdkafka says, without the secrets among the options."""
        options = self._settings.librdkafka().items()
        secrets = (value for name, value in options if any(part in name for part in _SECRET))
        return redacted(error.str(), secret_forms(*secrets))

    def _take(self, reading: "Reading", message: "Message") -> None:
        from runbook.systems.kafka.errors import EOF, OUT_OF_RANGE
        from runbook.systems.kafka.reading import position_of
        from runbook.systems.kafka.refusals import GROUP_REFUSED

        error = message.error()
        if error is None:
            reading.take(message)
        elif error.code() == GROUP_REFUSED:
            return  # librdkafka looks for a coordinator in any case; events are read without one
        elif error.code() == EOF:
            reading.reached(position_of(message), message.offset() or 0)
        elif error.code() in OUT_OF_RANGE:
            raise AnswerError(
                f"Events are no longer in {message.topic()}/{message.partition()}: {error.str()}",
                where=self._where,
                fix=f"{inv('traffic')}, and verify that newer run; or let the topic keep its events longer",
                status=0,
                code="offset_out_of_range",
            )
        else:
            self._fail(error, "events", reading.said, topic=message.topic() or "")

    def _give_up(self, reading: "Reading", deadline_s: float) -> NoReturn:
        missing = ", ".join(f"{topic}/{partition} before {end}" for (topic, partition), end in reading.open.items())
        why = f" ({self._shown(reading.said[-1])})" if reading.said else ""
        seen = f"Kafka did not return all events within {deadline_s:g} s: {missing} is missing{why}"
        raise UnreachableError(seen, where=self._where, fix=self._fix, reason="timeout") from None

    def _fail(self, error: "KafkaError", what: str, said: "Iterable[KafkaError]" = (), *, topic: str = "") -> NoReturn:
        """Raise the request's error; one that only says "no answer" gives way to what was last said about a broker."""
        from runbook.systems.kafka.errors import cause_of, reason_of
        from runbook.systems.kafka.refusals import refusal

        cause = cause_of(error, said)
        shown = self._shown(cause)
        refused = refusal(cause, self._settings, what=what, topic=topic, said=shown, where=self._where)
        if refused:
            raise refused from None
        seen = f"Kafka did not answer ({what}): {shown}"
        raise UnreachableError(seen, where=self._where, fix=self._fix, reason=reason_of(cause)) from None


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
