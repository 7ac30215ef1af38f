"""What the mock broker cannot show: Apache Kafka's own groups, new partitions, and kills that its coordinator sees."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.sink.chaos import REAL_GROUP, Chaos
from tests.sink.journals import JournalAddress, sqlite_address
from tests.sink.postgres_server import PostgresServer
from tests.sink.real_kafka import RealKafka
from tests.sink.running import GROUPS, running
from tests.sink.sink_process import event, wait_until

pytestmark = pytest.mark.real


@pytest.mark.parametrize("group", GROUPS)
def test_partitions_that_are_added_are_read_from_their_start(real_kafka: RealKafka, tmp_path: Path, group: str) -> None:
    """However the group divides them: what was counted stays counted, and nothing of the new ones is missed."""
    topic = f"leads-{uuid4().hex}"
    real_kafka.create(topic, 2)
    journal = sqlite_address(tmp_path).opened()
    with running(real_kafka.bootstrap, journal, group=group, GROUP_ID=topic, TOPICS=topic) as sink:
        wait_until(lambda: sink.health.assigned == 2, 60)
        real_kafka.send(topic, [event("acme")] * 300)
        wait_until(lambda: sink.samples().counted() == 300)
        real_kafka.grow(topic, 5)
        for partition in range(5):
            real_kafka.send(topic, [event("acme")] * 100, partition=partition)
        wait_until(lambda: sink.health.assigned == 5, 60)
        wait_until(lambda: sink.samples().passed() == 800)
        assert sink.samples().counted() == 800
    journal.close()


@pytest.mark.parametrize("group", GROUPS)
def test_a_topic_that_is_made_later_is_read_from_its_start(real_kafka: RealKafka, tmp_path: Path, group: str) -> None:
    """One topic is there and is counted; the other comes into being while the sink runs, and is not made by it."""
    topic, late = f"leads-{uuid4().hex}", f"jobs-{uuid4().hex}"
    real_kafka.create(topic, 1)
    real_kafka.send(topic, [event("acme")] * 10)
    journal = sqlite_address(tmp_path).opened()
    with running(real_kafka.bootstrap, journal, group=group, GROUP_ID=topic, TOPICS=f"{topic},{late}") as sink:
        wait_until(lambda: sink.samples().counted() == 10, 60)
        real_kafka.create(late, 2)
        real_kafka.send(late, [event("acme", "job.created")] * 20)
        wait_until(lambda: sink.health.assigned == 3, 60)
        wait_until(lambda: sink.samples().passed() == 30)
        assert sink.samples().ingested() == {("acme", topic): 10.0, ("acme", late): 20.0}
    journal.close()


def test_largest_message_as_a_dead_letter(real_kafka: RealKafka) -> None:
    """A message that just fits its topic does not fit the dead-letter one with our headers: shortened, it does."""
    topic, dlq = f"leads-{uuid4().hex}", f"dlq-{uuid4().hex}"
    for name in (topic, dlq):
        real_kafka.create(name, 1, max_message_bytes="20000")
    largest = 19_900  # with Kafka's own bytes around it, and without our headers
    for value in (event("acme"), b"x" * largest, event("acme")):
        real_kafka.send(topic, [value])
    with running(real_kafka.bootstrap, GROUP_ID=topic, TOPICS=topic, SINK_DLQ_TOPIC=dlq) as sink:
        wait_until(lambda: sink.samples().passed() == 3, 60)
        assert sink.samples().rejected() == {(topic, "not_json"): 1.0}
    (letter,) = real_kafka.read(dlq, 1)
    assert dict(letter.headers() or [])["crm-events-sink.original-bytes"] == str(largest).encode()


@pytest.mark.parametrize("is_static", [False, True], ids=["dynamic", "static"])
def test_killed_again_and_again(tmp_path: Path, *, is_static: bool) -> None:
    """20 times kill -9 under load: nothing missing, nothing twice, no total decreases."""
    result = Chaos(
        journal=sqlite_address(tmp_path), kills=20, broker=RealKafka, group=REAL_GROUP, is_static=is_static
    ).run()
    assert result.exact, result
    assert (result.kills, result.events > 0) == (20, True)


@pytest.mark.parametrize("strategy", ["range,roundrobin", "cooperative-sticky"])
def test_two_sinks_killed_in_turn(postgres: PostgresServer, strategy: str) -> None:
    """Their partitions move, eagerly or one by one, and all counts are right."""
    group = {**REAL_GROUP, "KAFKA_PARTITION_ASSIGNMENT_STRATEGY": strategy}
    journal = JournalAddress(postgres.new_database())
    result = Chaos(journal=journal, kills=10, sinks=2, broker=RealKafka, group=group).run()
    assert result.exact, result
    assert (result.kills, result.events > 0) == (10, True)
