"""The sink's poll loop in a thread of the test process, and the load for it."""

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from sink.consumer import EventConsumer
from sink.health import Health
from sink.journal.model import Journal
from sink.log_writer import LogWriter
from sink.metrics import Metrics
from sink.settings import load_settings
from tests.sink.mock_kafka import MockKafka
from tests.sink.sink_process import Samples, event

FAST = {
    "KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS": "200",
    "KAFKA_FETCH_WAIT_MAX_MS": "20",
}
CLASSIC = {"KAFKA_SESSION_TIMEOUT_MS": "1500", "KAFKA_HEARTBEAT_INTERVAL_MS": "100"}
GROUPS = {
    "eager": CLASSIC,
    "cooperative": {**CLASSIC, "KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "cooperative-sticky"},
    "static": {**CLASSIC, "KAFKA_GROUP_INSTANCE_ID": "sink"},
    "KIP-848": {"KAFKA_GROUP_PROTOCOL": "consumer"},
}
"""The ways in which a group can divide its partitions; what else is set is the same for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running loop, what it has counted, and the state that its health pages show."""

    metrics: Metrics
    health: Health
    log_path: Path

    def samples(self) -> Samples:
        """Return what a reader without the header of Prometheus sees."""
        return Samples(self.metrics.page(is_scrape=False).body.decode())

    def log(self) -> str:
        """Return the log so far."""
        return self.log_path.read_text(encoding="utf-8")


@contextmanager
def running(
    bootstrap: str, journal: Journal | None = None, *, group: str = "eager", health: Health | None = None, **env: str
) -> Iterator[Running]:
    """Run the loop until the block ends, without a journal or with an open one; then it has left its group."""
    settings = load_settings({"KAFKA_BOOTSTRAP": bootstrap, **FAST, **GROUPS[group], **env})
    stop, health = threading.Event(), health or Health()
    with tempfile.NamedTemporaryFile() as file:
        log = LogWriter(file.fileno())
        metrics = Metrics(topics=settings.topics, max_tenants=settings.max_tenants, dropped_lines=lambda: log.dropped)
        consumer = EventConsumer(settings, journal=journal, metrics=metrics, health=health, log=log)
        thread = threading.Thread(target=consumer.run, args=(stop,))
        thread.start()
        try:
            yield Running(metrics=metrics, health=health, log_path=Path(file.name))
        except BaseException:  # pytest shows it beside the test that failed
            sys.stderr.write(f"{health!r}\n{Path(file.name).read_text(encoding='utf-8')}\n")
            sys.stderr.write(metrics.page(is_scrape=False).body.decode())
            raise
        finally:
            stop.set()
            thread.join(20)
            log.close(5)
        assert not thread.is_alive()


@contextmanager
def load(kafka: MockKafka, topic: str) -> Iterator[list[int]]:
    """Write events until the block ends; yield the numbers of those that are acknowledged."""
    sent, stop = list[int](), threading.Event()

    def write() -> None:
        while not stop.wait(0.01):  # the mock broker keeps 5 MiB of each partition
            kafka.send(topic, [event(f"tenant-{n % 7}") for n in range(100)])
            sent.append(100)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


def committed_offsets(kafka: MockKafka, topic: str, partitions: int) -> int:
    """Return the sum of the group's commits, as the broker has them."""
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "crm-events-sink", "log_level": 0})
    answer = reader.committed([TopicPartition(topic, n) for n in range(partitions)], timeout=10)
    reader.close()
    return sum(max(p.offset, 0) for p in answer)
