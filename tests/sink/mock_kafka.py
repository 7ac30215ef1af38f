"""A real broker for the sink's tests: librdkafka's mock cluster, in this process, driven over its C interface."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

_PRODUCE, _OFFSET_COMMIT = 0, 8  # of the Kafka protocol


class MockKafka:
    """One broker with groups, commits and rebalances. Its state lives as long as the object."""

    def __init__(self) -> None:
        self._lib = _librdkafka()
        error = ctypes.create_string_buffer(512)
        self._handle = self._lib.rd_kafka_new(0, None, error, len(error))
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._handle, 1)
        self.bootstrap: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 50)
        self.producer = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0, "linger.ms": 1})

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic; one that is only written to appears by itself, with 4 partitions."""
        assert self._lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1) == 0

    def send(self, topic: str, values: Sequence[bytes | None], *, partition: int = -1) -> None:
        """Write messages and wait until the broker has acknowledged all of them."""
        send(self.producer, topic, values, partition=partition)

    def down(self) -> None:
        """Refuse every connection, and close those there are."""
        self._lib.rd_kafka_mock_broker_set_down(self._cluster, 1)

    def up(self) -> None:
        """Accept connections again; nothing was lost."""
        self._lib.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def refuse_produce(self, code: int, times: int) -> None:
        """Answer the next produce requests with a Kafka error code, whoever sends them."""
        self._refuse(_PRODUCE, code, times)

    def accept_produce(self) -> None:
        """Forget the refusals that are left."""
        self._lib.rd_kafka_mock_clear_request_errors(self._cluster, _PRODUCE)

    def refuse_commits(self, code: int, times: int) -> None:
        """Answer the next commits with a Kafka error code, whoever sends them."""
        self._refuse(_OFFSET_COMMIT, code, times)

    def _refuse(self, request: int, code: int, times: int) -> None:
        codes = [ctypes.c_int(code)] * times
        self._lib.rd_kafka_mock_push_request_errors(self._cluster, request, ctypes.c_size_t(times), *codes)

    def read(self, topic: str, count: int) -> list[Message]:
        """Read that many messages from the start of a topic."""
        return read(self.bootstrap, topic, count)

    def close(self) -> None:
        """End the broker."""
        del self.producer
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._handle)


def send(producer: Producer, topic: str, values: Sequence[bytes | None], *, partition: int = -1) -> None:
    """Write messages and wait until all of them are acknowledged."""
    refused: list[object] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            refused.append(error)

    for value in values:
        producer.produce(topic, value, partition=partition, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(10) == 0
    assert not refused


def read(bootstrap: str, topic: str, count: int) -> list[Message]:
    """Read that many messages from the start of a topic."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "log_level": 0, "fetch.wait.max.ms": 50})
    parts = reader.list_topics(topic, timeout=10).topics[topic].partitions
    reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in parts])
    messages = reader.consume(count, 10)
    reader.close()
    return messages


def _librdkafka() -> ctypes.CDLL:
    """Load the library that confluent_kafka brings, and declare what is used of rdkafka_mock.h."""
    package = Path(confluent_kafka.__file__).parent
    found = [*package.parent.glob("confluent_kafka.libs/librdkafka*"), *package.glob(".dylibs/librdkafka*")]
    lib = ctypes.CDLL(str(found[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_push_request_errors", None, [pointer, ctypes.c_int16, ctypes.c_size_t]),
        ("rd_kafka_mock_clear_request_errors", None, [pointer, ctypes.c_int16]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
