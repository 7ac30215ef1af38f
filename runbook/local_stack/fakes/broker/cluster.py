"""librdkafka's mock cluster, driven through the shared library that the confluent-kafka wheel brings along.

It serves other processes over TCP: producers, consumer groups, committed offsets, transactions. It keeps at most 5 MiB
or 100,000 batches per partition (older data vanish without a word), unknown topics appear with 4 partitions, and its
state and ports die with the process. It is an experimental API: the wheel's version is pinned.

A surprise (measured): after the last member has left a group, the next one waits for `session.timeout.ms` less a second
before it gets partitions (44 s by default; 5.0 s at 6000, 1.0 s at 2000), where a real broker assigns at once. With
`group.protocol=consumer` there is no wait.
"""

import ctypes
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_RD_KAFKA_PRODUCER: Final = 0
_ERROR_TEXT_BYTES: Final = 512
_ERRORS_ONLY: Final = b"3"  # syslog's level; a warning would say that this client has no broker, which is meant
_INITIAL_REBALANCE_DELAY_MS: Final = 100


class MockClusterError(Exception):
    """The mock cluster could not be found, started or told something; the text is one line for the operator."""


class MockCluster:
    """A mock cluster inside this process. Broker ids count from 1."""

    def __init__(self, brokers: int) -> None:
        """Start `brokers` brokers on free ports of the loopback interface."""
        self._brokers = brokers
        self._library = _library()
        self._handle = _new_handle(self._library)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, brokers)
        if not self._cluster:
            raise MockClusterError(f"librdkafka did not start a mock cluster of {brokers} brokers")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _INITIAL_REBALANCE_DELAY_MS)

    def bootstrap(self) -> str:
        """Return the addresses for `bootstrap.servers`."""
        servers: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return servers.decode()

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic with one replica per partition; raise if it exists."""
        code = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        self._raise_for(code, f"topic {name} with {partitions} partitions")

    def set_down(self) -> None:
        """Close every connection and accept no new one until `set_up`; topics, offsets and data stay."""
        for broker in range(1, self._brokers + 1):
            code = self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)
            self._raise_for(code, f"broker {broker} down")

    def set_up(self) -> None:
        """Accept connections again, on the same ports."""
        for broker in range(1, self._brokers + 1):
            code = self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)
            self._raise_for(code, f"broker {broker} up")

    def advertise(self, host: str, port: int) -> None:
        """Hand out this address in the metadata; the port that is listened on stays."""
        for broker in range(1, self._brokers + 1):
            code = self._library.rd_kafka_mock_broker_set_host_port(self._cluster, broker, host.encode(), port)
            self._raise_for(code, f"broker {broker} at {host}:{port}")

    def close(self) -> None:
        """End the cluster; its state is gone."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def _raise_for(self, code: int, what: str) -> None:
        if code:
            reason: bytes = self._library.rd_kafka_err2str(code)
            raise MockClusterError(f"{what}: {reason.decode()}")


def library_path() -> Path:
    """Return the shared library inside the confluent-kafka wheel (macOS: inside the package; else beside it)."""
    package = find_spec("confluent_kafka")
    if package is None or package.origin is None:
        raise MockClusterError("the package confluent-kafka is not installed")
    inside = Path(package.origin).parent
    beside = inside.parent / "confluent_kafka.libs"
    places = ((beside, "librdkafka*.so*"), (beside, "librdkafka-*.dll"), (inside / ".dylibs", "librdkafka*.dylib"))
    for folder, pattern in places:
        for path in sorted(folder.glob(pattern)):
            return path
    raise MockClusterError(f"no librdkafka shared library in {beside}: is confluent-kafka installed as a wheel?")


def _library() -> ctypes.CDLL:
    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise MockClusterError(f"cannot load {path}: {error}") from error
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_err2str": (text, [number]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_host_port": (number, [pointer, ctypes.c_int32, text, number]),
    }
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise MockClusterError(f"{path} has no function {name}: another version of librdkafka?") from error
        function.restype, function.argtypes = result, arguments
    return library


def _new_handle(library: ctypes.CDLL) -> int:
    """Return the client instance that a mock cluster lives in; it talks to nobody itself."""
    text = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
    configuration = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(configuration, b"log_level", _ERRORS_ONLY, text, _ERROR_TEXT_BYTES)
    handle: int | None = library.rd_kafka_new(_RD_KAFKA_PRODUCER, configuration, text, _ERROR_TEXT_BYTES)
    if handle is None:
        raise MockClusterError(f"librdkafka did not start: {text.value.decode()}")
    return handle
