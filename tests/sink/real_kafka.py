"""Apache Kafka for the sink's tests: the program of the local stack, in a folder and on ports of its own."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from mock_kafka import read, send
from sink_process import wait_until

from runbook.stack.kafka import found_kafka, kafka_part, missing_metadata, prepare_kafka
from runbook.stack.layout import Layout
from runbook.stack.ports import Ports

_READY_S: Final = 60.0
_END_S: Final = 30.0


class RealKafka:
    """One broker. Raises RunbookError without Java, or without the program and Maven."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        layout, ports = Layout.of(Path(self._folder.name)), Ports.free()
        layout.data.mkdir(parents=True)
        prepare_kafka(layout, ports)
        part = kafka_part(layout, ports, found_kafka(print))
        with (layout.data / "log").open("wb") as log:
            self._process = subprocess.Popen(
                part.launch.command, cwd=part.launch.directory, env=part.launch.environment, stdout=log, stderr=log
            )
        self.bootstrap = part.address
        wait_until(lambda: not missing_metadata(self.bootstrap), _READY_S)
        self.producer = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0, "linger.ms": 1})

    def create(self, topic: str, partitions: int, **config: str) -> None:
        """Make a topic; `max_message_bytes` is Kafka's max.message.bytes, and so on."""
        settings = {name.replace("_", "."): value for name, value in config.items()}
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for created in admin.create_topics([NewTopic(topic, partitions, 1, config=settings)]).values():
            created.result(_END_S)

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions, up to so many."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for grown in admin.create_partitions([NewPartitions(topic, partitions)]).values():
            grown.result(_END_S)
        wait_until(lambda: len(self.producer.list_topics(topic, 5).topics[topic].partitions) == partitions)

    def send(self, topic: str, values: Sequence[bytes | None], *, partition: int = -1) -> None:
        """Write messages and wait until the broker has acknowledged all of them."""
        send(self.producer, topic, values, partition=partition)

    def read(self, topic: str, count: int) -> list[Message]:
        """Read that many messages from the start of a topic."""
        return read(self.bootstrap, topic, count)

    def close(self) -> None:
        """End the broker."""
        self.producer.flush(_END_S)
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._folder.cleanup()
