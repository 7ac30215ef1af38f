"""Messages that Apache Kafka deletes before they are counted, and topics recreated, while the sink is there or away."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from tests.sink.journals import sqlite_address
from tests.sink.real_kafka import RealKafka
from tests.sink.running import CLASSIC, GROUPS
from tests.sink.sink_process import SCRAPE, SinkProcess, event, wait_until

pytestmark = pytest.mark.real

ONE_BATCH_AHEAD: Final = {"KAFKA_QUEUED_MAX_MESSAGES_KBYTES": "1", "KAFKA_MAX_PARTITION_FETCH_BYTES": "1"}
"""The next batch is fetched when the one before is counted."""


@pytest.fixture
def topic(real_kafka: RealKafka) -> str:
    """A topic of one partition."""
    name = f"leads-{uuid4().hex}"
    real_kafka.create(name, 1)
    return name


@pytest.fixture(params=["journal", "no journal"])
def reader(real_kafka: RealKafka, topic: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SinkProcess]:
    """A sink of that topic, not yet started."""
    process = SinkProcess(real_kafka.bootstrap, tmp_path / "stdout")
    process.env |= {"TOPICS": topic, "GROUP_ID": topic, "SINK_LOG_EVENTS": "none"}
    if request.param == "journal":
        process.env |= sqlite_address(tmp_path).env()
    yield process
    process.kill()


def test_deleted_while_stopped(real_kafka: RealKafka, topic: str, reader: SinkProcess) -> None:
    """The gap is in the log and in a counter that a scrape has seen at 0 before; counting continues after it."""
    _count(real_kafka, topic, reader, 100)
    assert reader.stop() == 0
    real_kafka.send(topic, [event("acme")] * 100)
    real_kafka.delete_before(topic, 150)
    reader.take_ports()
    reader.start_ready()
    wait_until(lambda: reader.samples().passed() == 200)
    seen = [reader.samples(SCRAPE).by_name["crm_events_lost_total"][topic,] for _ in range(2)]
    assert seen == [0, 50]
    _wait_for_line(reader, "Kafka deleted offsets 100 to 149 before they were counted")


@pytest.mark.parametrize("reader", ["journal"], indirect=True)
def test_deleted_while_the_journal_is_away(
    real_kafka: RealKafka, topic: str, reader: SinkProcess, tmp_path: Path
) -> None:
    """Reading is paused, and the next offset is deleted meanwhile."""
    _count(real_kafka, topic, reader, 100)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        real_kafka.send(topic, [event("acme")] * 100)
        wait_until(lambda: reader.samples().by_name["crm_events_journal_up"][()] == 0)
        real_kafka.delete_before(topic, 150)
        other.execute("ROLLBACK")
    wait_until(lambda: reader.samples().passed() == 200)
    assert (reader.samples().counted(), _lost(reader, topic)) == (150, 50)
    _wait_for_line(reader, "Kafka deleted offsets 100 to 149 before they were counted")


def test_deleted_under_a_reader_that_lags(real_kafka: RealKafka, topic: str, reader: SinkProcess) -> None:
    """It runs, and the offset that it fetches next is gone: every offset passed is counted, or known as lost.

    It is stopped while Kafka gets more than it can have fetched, and loses that again; it stays a member meanwhile.
    """
    reader.env |= {**ONE_BATCH_AHEAD, "KAFKA_SESSION_TIMEOUT_MS": "60000"}
    _count(real_kafka, topic, reader, 1)
    os.kill(reader.pid, signal.SIGSTOP)
    real_kafka.send(topic, [event("acme", "x" * 20_000)] * 1_500)
    real_kafka.delete_before(topic, 1_500)
    os.kill(reader.pid, signal.SIGCONT)
    wait_until(lambda: reader.samples().passed() == 1_501)
    lost = _lost(reader, topic)
    assert lost > 0
    assert reader.samples().counted() + lost == 1_501
    _wait_for_line(reader, " to 1499 before they were counted")


@pytest.mark.parametrize("group", ["eager", "cooperative", "KIP-848"])
def test_topic_recreated_under_the_reader(real_kafka: RealKafka, topic: str, reader: SinkProcess, group: str) -> None:
    """Its offsets begin again: what was counted stays, and every event of the new one is counted once.

    The sink has no time to commit its last events, so that its commit goes to the new topic, past that one's end.
    """
    reader.env = {n: v for n, v in reader.env.items() if n not in CLASSIC} | GROUPS[group]
    _count(real_kafka, topic, reader, 100)
    os.kill(reader.pid, signal.SIGSTOP)
    real_kafka.recreate(topic, 1)
    real_kafka.send(topic, [event("acme")] * 50)
    os.kill(reader.pid, signal.SIGCONT)
    wait_until(lambda: reader.samples().passed() == 50, 60)
    real_kafka.send(topic, [event("acme")] * 20)
    wait_until(lambda: reader.samples().passed() == 70)
    assert (reader.samples().counted(), _lost(reader, topic)) == (170, 0)
    _wait_for_line(reader, "the topic was recreated")


@pytest.mark.parametrize("reader", ["journal"], indirect=True)
def test_topic_recreated_while_stopped(real_kafka: RealKafka, topic: str, reader: SinkProcess) -> None:
    """The journal is ahead of the new topic, which is counted from its start."""
    _count(real_kafka, topic, reader, 100)
    assert reader.stop() == 0
    real_kafka.recreate(topic, 1)
    real_kafka.send(topic, [event("acme")] * 50)
    reader.take_ports()
    reader.start_ready()
    wait_until(lambda: reader.samples().passed() == 50)
    assert reader.samples().counted() == 150
    _wait_for_line(reader, "the topic was recreated")


def _count(real_kafka: RealKafka, topic: str, reader: SinkProcess, events: int) -> None:
    """Start the sink, and let it count."""
    reader.start_ready()
    real_kafka.send(topic, [event("acme")] * events)
    wait_until(lambda: reader.samples().passed() == events)
    assert reader.samples().counted() == events


def _lost(reader: SinkProcess, topic: str) -> float:
    return reader.samples().by_name["crm_events_lost_total"][topic,]


def _wait_for_line(reader: SinkProcess, text: str) -> None:
    wait_until(lambda: any(text in line for line in reader.lines()))
