"""Kafka's part: what producers and consumer groups may rely on, from the stand-in and from a real broker."""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from runbook.local_stack.kafka import create_topics
from runbook.local_stack.service_spec import TOPICS
from runbook.settings import LOCAL, load_target
from tests.contracts.contract_parts import HTTP_TIMEOUT_S, PLAYERS, Program, eventually, free_port, played_by, running

LEADS = "apexflow.leads.created"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of a broker with one topic of three partitions, and of its control port."""
    folder = tmp_path_factory.mktemp("broker")
    port = free_port()
    options = ("--bootstrap-file", str(folder / "bootstrap"), "--topic", f"{LEADS}:3", "--control-port", str(port))
    with running("broker", *options, output=folder / "log") as program:
        yield _address(program, folder / "bootstrap"), f"http://127.0.0.1:{port}"


@pytest.fixture(params=PLAYERS)
def bootstrap(request: pytest.FixtureRequest) -> str:
    """Address of the part under test."""
    real = played_by(request)
    return real.kafka.bootstrap if real else str(request.getfixturevalue("stand_in")[0])


def test_a_value_comes_back_as_it_was_produced(bootstrap: str) -> None:
    """Key, value and headers arrive byte by byte, at the partition and offset of the delivery report."""
    topic = f"contract-{uuid.uuid4()}"
    sent = _produced(bootstrap, topic, b'{"id": 1, "name": "\xc3\xa4"}')
    [message] = _consumed(bootstrap, topic, f"group-{uuid.uuid4()}", 1)
    assert (message.key(), message.value()) == (b"acme:lead:1", b'{"id": 1, "name": "\xc3\xa4"}')
    assert (sent.partition(), sent.offset()) == (message.partition(), message.offset())


def test_a_group_resumes_where_it_committed(bootstrap: str) -> None:
    """A second member of the same group, later, gets only what was not committed."""
    topic, group = f"contract-{uuid.uuid4()}", f"group-{uuid.uuid4()}"
    _produced(bootstrap, topic, b"first")
    assert [message.value() for message in _consumed(bootstrap, topic, group, 1)] == [b"first"]
    _produced(bootstrap, topic, b"second")
    assert [message.value() for message in _consumed(bootstrap, topic, group, 1)] == [b"second"]


def test_a_repeated_request_does_not_double_an_event(bootstrap: str) -> None:
    """The watermarks count exactly what an idempotent producer was told was delivered."""
    topic = f"contract-{uuid.uuid4()}"
    partition = _produced(bootstrap, topic, b"only one").partition()
    with _consumer(bootstrap, f"group-{uuid.uuid4()}") as consumer:
        assert consumer.get_watermark_offsets(_at(topic, partition), timeout=10) == (0, 1)


def test_an_unknown_topic_appears_with_four_partitions(bootstrap: str) -> None:
    """As in the field, where nobody creates the topics by hand."""
    topic = f"contract-{uuid.uuid4()}"
    _produced(bootstrap, topic, b"first")
    assert len(_producer(bootstrap).list_topics(topic, timeout=10).topics[topic].partitions) == 4


@pytest.mark.real
@pytest.mark.stack
@pytest.mark.xdist_group("real parts")
def test_the_stack_creates_the_topics_of_a_real_broker(real_stack: Path) -> None:
    """Both are there before the first event, so that the sink reads them from the start; twice does no harm."""
    bootstrap = load_target(LOCAL, directory=real_stack).kafka.bootstrap
    create_topics(bootstrap, TOPICS)
    topics = _producer(bootstrap).list_topics(timeout=10).topics
    assert [len(topics[name].partitions) for name in TOPICS] == [4, 4]


def test_topics_have_the_partitions_that_were_asked_for(stand_in: tuple[str, str]) -> None:
    """`--topic NAME:3` is in the metadata with three partitions."""
    topics = Producer({"bootstrap.servers": stand_in[0]}).list_topics(timeout=10).topics
    assert len(topics[LEADS].partitions) == 3


def test_a_broker_that_is_down_refuses_and_comes_back_with_its_data(stand_in: tuple[str, str]) -> None:
    """Down: no metadata for anybody. Up: the same address serves what was there before, and what waited."""
    bootstrap, control = stand_in
    topic = f"contract-{uuid.uuid4()}"
    _produced(bootstrap, topic, b"before")
    waiting = _producer(bootstrap)
    assert requests.post(f"{control}/down", timeout=HTTP_TIMEOUT_S).json()["state"] == "down"
    with pytest.raises(KafkaException, match=r"_TRANSPORT"):
        _producer(bootstrap).list_topics(timeout=1)
    waiting.produce(topic, b"while down", b"acme:lead:1")
    assert waiting.flush(0.5) == 1
    assert requests.post(f"{control}/up", timeout=HTTP_TIMEOUT_S).json()["state"] == "up"
    assert waiting.flush(10) == 0
    values = [message.value() for message in _consumed(bootstrap, topic, f"group-{uuid.uuid4()}", 2)]
    assert values == [b"before", b"while down"]


def test_an_advertised_address_shows_in_the_metadata_alone(stand_in: tuple[str, str]) -> None:
    """The bootstrap address still answers, and names the other one; advertising the true one mends it."""
    bootstrap, control = stand_in
    for address in ("kafka.invalid:9092", bootstrap):
        answer = requests.post(f"{control}/advertise", params={"address": address}, timeout=HTTP_TIMEOUT_S)
        assert answer.json()["advertised"] == address
        [broker] = _producer(bootstrap).list_topics(timeout=10).brokers.values()
        assert f"{broker.host}:{broker.port}" == address
    refused = requests.post(f"{control}/advertise", params={"address": "nonsense"}, timeout=HTTP_TIMEOUT_S)
    assert refused.status_code == 400


def test_control_says_which_state_it_is_in(stand_in: tuple[str, str]) -> None:
    bootstrap, control = stand_in
    health = requests.get(f"{control}/health", timeout=HTTP_TIMEOUT_S).json()
    assert health == {"state": "up", "bootstrap": bootstrap, "advertised": bootstrap}
    assert requests.get(f"{control}/nothing", timeout=HTTP_TIMEOUT_S).status_code == 404
    assert requests.get(f"{control}/down", timeout=HTTP_TIMEOUT_S).status_code == 405


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0(tmp_path: Path, number: int) -> None:
    with running("broker", "--bootstrap-file", str(tmp_path / "bootstrap"), output=tmp_path / "log") as program:
        _address(program, tmp_path / "bootstrap")
        os.kill(program.process.pid, number)
        assert program.process.wait(10) == 0


def test_a_taken_port_is_one_line_and_exit_code_1(tmp_path: Path, stand_in: tuple[str, str]) -> None:
    """Nothing is published, so nobody waits for a broker that is not there."""
    port = stand_in[1].rpartition(":")[2]
    options = ("--bootstrap-file", str(tmp_path / "bootstrap"), "--control-port", port)
    with running("broker", *options, output=tmp_path / "log") as program:
        assert program.process.wait(10) == 1
    assert f"broker: cannot listen on 127.0.0.1:{port}: Address already in use\n" == program.log()
    assert not (tmp_path / "bootstrap").exists()


def _address(program: Program, published: Path) -> str:
    def probe() -> str | None:
        if program.process.poll() is not None:
            pytest.fail(program.log())
        return published.read_text(encoding="utf-8").strip() if published.exists() else None

    return eventually(probe, f"{published} is written")


def _producer(bootstrap: str) -> Producer:
    settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "reconnect.backoff.max.ms": 200}
    return Producer(settings | {"log_level": 0})


def _produced(bootstrap: str, topic: str, value: bytes) -> Message:
    reports: list[tuple[object, Message]] = []
    producer = _producer(bootstrap)
    producer.produce(topic, value, b"acme:lead:1", on_delivery=lambda error, message: reports.append((error, message)))
    assert producer.flush(20) == 0
    [(error, message)] = reports
    assert error is None
    return message


def _consumer(bootstrap: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,  # the least a real broker takes; the stand-in waits so long
            "log_level": 0,
        }
    )


def _consumed(bootstrap: str, topic: str, group: str, count: int) -> list[Message]:
    """Return `count` messages and commit them."""
    with _consumer(bootstrap, group) as consumer:
        consumer.subscribe([topic])
        found: list[Message] = []

        def probe() -> bool | None:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
            return True if len(found) == count else None

        eventually(probe, f"{count} messages on {topic}")
        consumer.commit(asynchronous=False)
    return found


def _at(topic: str, partition: int | None) -> TopicPartition:
    return TopicPartition(topic, partition or 0)
