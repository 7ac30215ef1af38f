"""Kafka against librdkafka's mock cluster: positions, the group, and events up to an exact end."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, ConsumerGroupState, Node, Producer, TopicPartition
from confluent_kafka.admin import ConsumerGroupDescription, MemberAssignment, MemberDescription

from runbook.errors import AnswerError, UnreachableError, UsageError
from runbook.local_stack.fakes.broker.cluster import MockCluster
from runbook.systems.kafka.client import Kafka, group_facts
from runbook.systems.kafka.content import Content, content_of
from runbook.systems.kafka.reading import moment
from runbook.systems.kafka.settings import KafkaSettings

LEADS, JOBS = "apexflow.leads.created", "apexflow.jobs.created"
PASSWORD = "s3cret-of-sasl"  # noqa: S105 - a test's own


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    """A cluster with ten leads over two partitions, and an empty topic of jobs."""
    mock = MockCluster(1)
    mock.create_topic(LEADS, 2)
    mock.create_topic(JOBS, 1)
    producer = Producer({"bootstrap.servers": mock.bootstrap()})
    for number in range(10):
        value = json.dumps({"id": number}).encode()
        producer.produce(LEADS, value, f"acme:lead:{number}", partition=number % 2)
    assert producer.flush(10) == 0
    yield mock
    mock.close()


@pytest.fixture
def bootstrap(cluster: MockCluster) -> str:
    return cluster.bootstrap()


@pytest.fixture
def kafka(bootstrap: str) -> Iterator[Kafka]:
    with Kafka(KafkaSettings(bootstrap=bootstrap)) as client:
        yield client


def produce(bootstrap: str, topic: str, *values: bytes | None, **options: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, **options})
    if "transactional.id" in options:
        producer.init_transactions(10)
        producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=0)
    if "transactional.id" in options:
        producer.commit_transaction(10)
    assert producer.flush(10) == 0


@pytest.mark.parametrize(
    "value",
    [b"[" * 100_000, b'{"id":' + b"1" * 100_000 + b"}", b"\xff", rb'{"id":"\ud800"}', b"NaN", b"null", b"[1]", b""],
)
def test_value_that_cannot_be_read_is_rejected(value: bytes) -> None:
    assert content_of(value).rejected


@pytest.mark.parametrize("epoch_ms", [2**63 - 1, -(2**63), 253402300799999, -62135596800000])
def test_time_that_no_clock_shows_is_none(epoch_ms: int) -> None:
    """A producer writes any number; what is computed with a time adds and subtracts seconds."""
    assert moment(TIMESTAMP_CREATE_TIME, epoch_ms) is None
    assert moment(TIMESTAMP_CREATE_TIME, 0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_metadata_names_advertised_brokers_and_partitions(kafka: Kafka, bootstrap: str) -> None:
    facts = kafka.metadata()

    assert facts.brokers == (bootstrap,)
    assert (facts.topics[LEADS], facts.topics[JOBS]) == ((0, 1), (0,))


def test_offsets_of_a_missing_topic_are_missing_and_never_create_it(kafka: Kafka) -> None:
    """A zero for a topic that is not there would look like a topic without events."""
    assert kafka.end_offsets([LEADS, JOBS, "nope"]) == {(LEADS, 0): 5, (LEADS, 1): 5, (JOBS, 0): 0}
    assert kafka.start_offsets([LEADS, "nope"]) == {(LEADS, 0): 0, (LEADS, 1): 0}
    assert kafka.committed(["nope"]) == {}
    assert "nope" not in kafka.metadata().topics


def test_committed_offsets_are_the_sinks_groups(bootstrap: str) -> None:
    settings = KafkaSettings(bootstrap=bootstrap, group="a-sink")
    owner = Consumer({"bootstrap.servers": bootstrap, "group.id": "a-sink"})
    owner.commit(offsets=[TopicPartition(LEADS, 0, 3)], asynchronous=False)
    owner.close()

    with Kafka(settings) as client:
        assert client.committed([LEADS]) == {(LEADS, 0): 3, (LEADS, 1): None}


def test_group_is_none_where_the_broker_cannot_say(kafka: Kafka) -> None:
    assert kafka.group() is None


def test_events_come_exactly_up_to_the_end(kafka: Kafka) -> None:
    """From 1 up to, not including, 4 of one partition; everything of the other; nothing of an empty span."""
    found = kafka.events({(LEADS, 1): (0, 5), (LEADS, 0): (1, 4), (JOBS, 0): (0, 0)}, deadline_s=10)

    assert [(event.partition, event.offset) for event in found] == [
        *((0, n) for n in (1, 2, 3)),
        *((1, n) for n in range(5)),
    ]
    first = found[0]
    assert (first.topic, first.key, first.content.rejected, first.raw) == (
        LEADS,
        "acme:lead:2",
        "missing_field",
        b'{"id": 2}',
    )
    assert first.at is not None
    assert abs(datetime.now(UTC) - first.at) < timedelta(minutes=2)


def test_nothing_to_read_asks_nobody() -> None:
    client = Kafka(KafkaSettings(bootstrap="127.0.0.1:1"))

    assert client.events({(LEADS, 0): (5, 5)}, deadline_s=0) == ()
    client.close()


def test_messages_that_are_no_events_are_kept_raw(kafka: Kafka, bootstrap: str) -> None:
    produce(bootstrap, "odd", b"[1]", b"not json", b"\xff", None, b'{"tenant_id": "a", "event_type": "b", "id": 1}')

    found = kafka.events({("odd", 0): (0, 5)}, deadline_s=10)

    assert [event.content.rejected for event in found] == ["not_an_object", "not_json", "not_utf8", "null_value", ""]
    assert found[4].content == Content(tenant_id="a", event_type="b", entity_id=1)
    assert [event.raw for event in found[:4]] == [b"[1]", b"not json", b"\xff", b""]
    assert {event.key for event in found} == {""}


def test_more_than_one_batch_is_read(kafka: Kafka, bootstrap: str) -> None:
    produce(bootstrap, "many", *(str(number).encode() for number in range(1200)))

    found = kafka.events({("many", 0): (0, 1200)}, deadline_s=10)

    assert [event.raw for event in found] == [str(number).encode() for number in range(1200)]


def test_end_that_is_not_there_yet_is_an_error_never_a_partial_answer(kafka: Kafka) -> None:
    """A ledger closed on 5 of 9 events would be a lie."""
    with pytest.raises(UnreachableError, match=f"within 0.3 s: .*{LEADS}/0 before 9") as caught:
        kafka.events({(LEADS, 0): (0, 9), (LEADS, 1): (0, 5)}, deadline_s=0.3)

    assert caught.value.reason == "timeout"


def test_start_that_is_gone_is_an_error_never_a_skip(kafka: Kafka) -> None:
    with pytest.raises(AnswerError, match="no longer in") as caught:
        kafka.events({(LEADS, 0): (100, 101)}, deadline_s=10)

    assert caught.value.code == "offset_out_of_range"


def test_reading_joins_no_group_and_commits_nothing(bootstrap: str) -> None:
    """The sink keeps its partitions: a member of its group would take some away."""
    with Kafka(KafkaSettings(bootstrap=bootstrap, group="watched")) as client:
        client.events({(LEADS, 0): (0, 5)}, deadline_s=10)
        client.end_offsets([LEADS])

        assert client.committed([LEADS]) == {(LEADS, 0): None, (LEADS, 1): None}


@pytest.mark.outside
@pytest.mark.parametrize(
    ("bootstrap", "reason", "said"),
    [
        pytest.param("127.0.0.1:1", "refused", "Connection refused", marks=pytest.mark.posix("words of POSIX")),
        ("no-such-host.invalid:9092", "dns", "Failed to resolve"),
    ],
)
def test_unreachable_broker_is_told_in_librdkafkas_words(
    bootstrap: str, reason: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with Kafka(KafkaSettings(bootstrap=bootstrap), timeout_s=1) as client:
        for ask in (client.metadata, client.group, lambda: client.end_offsets([LEADS])):
            with pytest.raises(UnreachableError, match=said) as caught:
                ask()
            assert caught.value.reason == reason
        with pytest.raises(UnreachableError, match=said):
            client.events({(LEADS, 0): (0, 1)}, deadline_s=1)

    assert capfd.readouterr().err == ""


def test_broker_that_says_nothing_is_a_timeout_or_broken(silent_url: str) -> None:
    address = silent_url.removeprefix("http://")

    with Kafka(KafkaSettings(bootstrap=address), timeout_s=0.3) as client, pytest.raises(UnreachableError):
        client.metadata()


def test_setting_that_librdkafka_refuses_is_a_usage_error_without_secrets(bootstrap: str) -> None:
    options = {"sasl.password": PASSWORD, "security.protocol": PASSWORD}

    with pytest.raises(UsageError, match="RUNBOOK_KAFKA_OPTIONS") as caught:
        Kafka(KafkaSettings(bootstrap=bootstrap, options=options)).metadata()

    assert PASSWORD not in str(caught.value)


def test_group_facts_name_members_and_what_they_own() -> None:
    """The SDK's own description of a group, which the mock cluster cannot give, read as facts."""
    assignment = MemberAssignment([TopicPartition(LEADS, 0), TopicPartition(JOBS, 2)])
    member = MemberDescription("id-1", "sink-1", "/172.18.0.5", assignment)
    described = ConsumerGroupDescription(
        group_id="g",
        is_simple_consumer_group=False,
        members=[member],
        partition_assignor="range",
        state=ConsumerGroupState.STABLE,
        coordinator=Node(1, "127.0.0.1", 9092),
    )

    facts = group_facts(described)

    assert facts.state == "stable"
    assert facts.members == (("sink-1", "172.18.0.5", ((LEADS, 0), (JOBS, 2))),)


def test_options_reach_librdkafka_but_cannot_make_it_join(bootstrap: str) -> None:
    options = {"client.id": "runbook", "enable.auto.commit": "true", "group.id": "other"}

    with Kafka(KafkaSettings(bootstrap=bootstrap, options=options)) as client:
        assert client.end_offsets([JOBS]) == {(JOBS, 0): 0}


def test_closed_client_opens_again(kafka: Kafka) -> None:
    kafka.metadata()
    kafka.close()

    assert kafka.end_offsets([JOBS]) == {(JOBS, 0): 0}


def test_gap_before_the_end_neither_hangs_nor_lets_one_event_too_many_in(kafka: Kafka, bootstrap: str) -> None:
    """A transaction's marker takes the last offset and is never handed out: the next event, or the end, counts."""
    produce(bootstrap, "transacted", b"a", b"b", **{"transactional.id": "t"})
    end = kafka.end_offsets(["transacted"])["transacted", 0]
    assert end == 3
    assert [event.raw for event in kafka.events({("transacted", 0): (0, end)}, deadline_s=10)] == [b"a", b"b"]

    produce(bootstrap, "transacted", b"later")

    assert [event.raw for event in kafka.events({("transacted", 0): (0, end)}, deadline_s=10)] == [b"a", b"b"]
