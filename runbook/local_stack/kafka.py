"""Apache Kafka as a process: one node that is broker and controller (KRaft), from the jars that Maven resolves."""

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.local_stack.layout import Layout
from runbook.local_stack.maven import JVM_OPTIONS, JavaProgram, found_java_program
from runbook.local_stack.ports import Ports
from runbook.local_stack.service_spec import PARTITIONS, TOPICS, ServiceSpec, inherited
from runbook.systems.processes.launcher import Launch

POM = Path(__file__).parent / "programs/kafka/pom.xml"
_CREATED_S = 10.0
_METADATA_S = 1.0
# With slf4j's simplest logger, and times as `inv logs` and ProcessRuntime read them.
JAVA_OPTIONS = (
    *JVM_OPTIONS,
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
)
# An empty folder is formatted first; then the shell becomes the broker, which keeps its process id.
_START = """
config=$1 folder=$2 cluster=$3; shift 3
[ -f "$folder/meta.properties" ] || "$@" kafka.tools.StorageTool format --config "$config" --cluster-id "$cluster"
exec "$@" kafka.Kafka "$config"
"""
# Relative to the stack's folder, in which it runs: a properties file reads commas and accented letters in its own way.
_CONFIG, _LOG = "data/kafka.properties", "data/kafka"


def found_kafka(says: Callable[[str], None]) -> JavaProgram:
    """Find Kafka in the cache, or fetch it. Raises RunbookError."""
    return found_java_program("Kafka", POM, says=says)


def prepare_kafka(layout: Layout, ports: Ports) -> None:
    """Write its configuration, and its address, which is known before it starts."""
    (layout.root / _CONFIG).write_text(_configuration(ports), encoding="ascii")
    layout.bootstrap.write_text(_address(ports), encoding="ascii")


def kafka_service(layout: Layout, ports: Ports, program: JavaProgram) -> ServiceSpec:
    """Return the service; its clients find it at the same address after a restart."""
    java = (str(program.java), *JAVA_OPTIONS, "-cp", f"{program.folder}/*")
    return ServiceSpec(
        name="kafka",
        plays=f"Apache Kafka {program.version}",
        kind="real",
        launch=Launch(
            command=("/bin/sh", "-ec", _START, "kafka", _CONFIG, _LOG, _cluster_id(), *java),
            directory=str(layout.root),
            environment=inherited(),
        ),
        ready=f"kafka://{_address(ports)}",
        address=_address(ports),
        ports=(ports.kafka, ports.kafka_controller),
        topics=TOPICS,
        patience_s=120.0,
    )


def missing_metadata(address: str) -> str:
    """Say what keeps the broker from answering, or nothing; no topic comes into being by this question."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - a large library, wanted for a real broker only
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - see above

    try:
        AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=_METADATA_S)
    except KafkaException as error:
        return f"{address}: {error.args[0].str()}"
    return ""


def create_topics(address: str, topics: Sequence[str]) -> None:
    """Create the topics that are not there. Raises RunbookError."""
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415 - see missing_metadata
    from confluent_kafka.admin import AdminClient, NewTopic  # noqa: PLC0415 - see missing_metadata

    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        there = admin.list_topics(timeout=_CREATED_S).topics
    except KafkaException as error:
        raise RunbookError(
            f"The topics could not be listed: {error.args[0].str()}", where=address, fix=inv("stack.up")
        ) from None
    new = [name for name in topics if name not in there]
    wanted = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1) for name in new]
    if not wanted:
        return  # librdkafka refuses an empty list
    for name, created in admin.create_topics(wanted, request_timeout=_CREATED_S).items():
        try:
            created.result(_CREATED_S)
        except (KafkaException, TimeoutError) as error:
            said = error.args[0] if error.args else None
            if isinstance(said, KafkaError) and said.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue
            raise RunbookError(
                f"The topic {name} could not be created: {said or 'no answer'}", where=address, fix=inv("stack.up")
            ) from None


def _cluster_id() -> str:
    """Return 16 bytes in base64, as Kafka wants them, another for each stack: the sink's journal knows a cluster by it.

    The first byte is 0, for an id that begins with a hyphen would be taken for an option.
    """
    return base64.urlsafe_b64encode(bytes(1) + secrets.token_bytes(15)).decode().rstrip("=")


def _address(ports: Ports) -> str:
    return f"127.0.0.1:{ports.kafka}"


def _configuration(ports: Ports) -> str:
    """Return server.properties: loopback only."""
    broker, controller = _address(ports), f"127.0.0.1:{ports.kafka_controller}"
    listeners = {
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "log.dirs": _LOG,
    }
    return written({**node_properties(controller), **listeners})


def node_properties(controller: str) -> dict[str, str]:
    """Return the properties of one node alone, but for its listeners and its folder; `controller` is host:port.

    Topics appear when somebody writes to them, as in the field, and have one replica.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "num.partitions": str(PARTITIONS),
        "auto.create.topics.enable": "true",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": str(PARTITIONS),
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",  # 9 s else, for which a killed broker's next start waits
        "group.min.session.timeout.ms": "1000",  # 6 s else: the plain sink of a practised fault asks for less
        "group.initial.rebalance.delay.ms": "0",  # 3 s else, in which a first consumer waits for others
    }


def written(properties: Mapping[str, str]) -> str:
    """Return a properties file."""
    return "".join(f"{name}={value}\n" for name, value in properties.items())
