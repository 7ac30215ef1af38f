"""Apache Kafka for the sink's tests: the program of the local stack, in a folder and on ports of its own."""

import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from runbook.local_stack.kafka import found_kafka, kafka_service, missing_metadata, prepare_kafka
from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from tests.sink.mock_kafka import read, send
from tests.sink.sink_process import free_ports, wait_until

_READY_S: Final = 60.0
_END_S: Final = 30.0


class RealKafka:
    """One broker. Raises RunbookError without Java, or without the program and Maven.

    `listeners` adds some beside the plain one: a security protocol, and Kafka's properties of its listener alone.
    `properties` are further ones of the broker.
    """

    def __init__(
        self,
        listeners: Mapping[str, Mapping[str, str]] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = TemporaryDirectory()
        layout, ports = Layout.of(Path(self._folder.name)), Ports.free()
        layout.data.mkdir(parents=True)
        prepare_kafka(layout, ports)
        self._part = kafka_service(layout, ports, found_kafka(print))
        self.secured = _listen_also(layout.data / "kafka.properties", listeners or {})
        with (layout.data / "kafka.properties").open("a", encoding="ascii") as configuration:
            configuration.writelines(f"{name}={value}\n" for name, value in (properties or {}).items())
        self._log = layout.data / "log"
        self.bootstrap = self._part.address
        self.start()
        self.producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "log_level": 0,
                "linger.ms": 1,
                "enable.idempotence": True,
                # The ledger rests on offsets, and a batch that is sent twice can be acknowledged without its own. So a
                # broker that hangs is waited for, and at most one batch has to be sent again when it was stopped.
                "max.in.flight": 1,
                "request.timeout.ms": 300_000,
                "socket.timeout.ms": 300_000,
            }
        )

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

    def delete_before(self, topic: str, offset: int, *, partition: int = 0) -> None:
        """Delete the messages before an offset, as retention does."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for deleted in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            deleted.result(_END_S)

    def recreate(self, topic: str, partitions: int) -> None:
        """Delete a topic with all its messages, and create one of the same name."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for deleted in admin.delete_topics([topic]).values():
            deleted.result(_END_S)
        wait_until(lambda: self._is_created(topic, partitions))

    def _is_created(self, topic: str, partitions: int) -> bool:
        try:
            self.create(topic, partitions)
        except KafkaException as error:  # the old one is not deleted yet
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            return False
        return True

    def send(self, topic: str, values: Sequence[bytes | None], *, partition: int = -1) -> None:
        """Write messages and wait until the broker has acknowledged all of them."""
        send(self.producer, topic, values, partition=partition)

    def read(self, topic: str, count: int) -> list[Message]:
        """Read that many messages from the start of a topic."""
        return read(self.bootstrap, topic, count)

    def close(self) -> None:
        """End the broker."""
        self.producer.flush(_END_S)
        self.stop()
        self._folder.cleanup()

    def hang(self) -> None:
        """Answer nobody, and keep all connections."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again, also what was asked meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def start(self) -> None:
        """Start it, with the ports and data that it had before, and wait until it answers."""
        launch = self._part.launch
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                launch.command, cwd=launch.directory, env=launch.environment, stdout=log, stderr=log
            )
        try:
            wait_until(lambda: not missing_metadata(self.bootstrap), _READY_S)
        except AssertionError as error:
            self.stop()
            said = self._log.read_text(errors="replace")
            raise AssertionError(f"Kafka does not start: {said[-2000:]}") from error

    def stop(self) -> None:
        """End the process, in good order."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        finally:
            self._process.kill()
            self._process.wait()


def _listen_also(configuration: Path, listeners: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Add listeners to a server.properties, and return their addresses; of two lines of one name the later counts."""
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(listeners, free_ports(len(listeners)), strict=True)}
    said = configuration.read_text(encoding="ascii")
    added = ",".join(f"{name}://{address}" for name, address in addresses.items())
    lines = [f"{line},{added}" for line in said.splitlines() if added and re.match(r"(advertised\.)?listeners=", line)]
    if listeners:  # Kafka knows by itself what CONTROLLER speaks only while nothing is secured
        known = ("CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT", *(f"{name}:{name}" for name in listeners))
        lines.append(f"listener.security.protocol.map={','.join(known)}")
    lines += [
        f"listener.name.{name.lower()}.{key}={value}"
        for name, properties in listeners.items()
        for key, value in properties.items()
    ]
    configuration.write_text(said + "".join(f"{line}\n" for line in lines), encoding="ascii")
    return addresses
