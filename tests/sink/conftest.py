"""One real broker per test, each kind of journal, and nothing left behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from tests.sink.journals import JournalAddress, sqlite_address
from tests.sink.mock_kafka import MockKafka
from tests.sink.postgres_server import PostgresServer, postgres_programs, postgres_server
from tests.sink.real_kafka import RealKafka
from tests.sink.sink_process import SinkProcess


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    """One broker without topics."""
    broker = MockKafka()
    yield broker
    broker.close()


def _real_kafka() -> Iterator[RealKafka]:
    try:
        broker = RealKafka()
    except RunbookError as error:
        pytest.skip(f"no Kafka: {error.seen}")
    yield broker
    broker.close()


# The tests of a module share Apache Kafka, and those that stop it have one of their own.
real_kafka = pytest.fixture(scope="module")(_real_kafka)
own_real_kafka = pytest.fixture(_real_kafka)


@pytest.fixture
def sink(kafka: MockKafka, tmp_path: Path) -> Iterator[SinkProcess]:
    """The sink as a process of its own, not yet started."""
    process = SinkProcess(kafka.bootstrap, tmp_path / "stdout")
    yield process
    process.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of our own. Without the programs a laptop skips, and CI fails."""
    programs = postgres_programs()
    if programs is None:
        reason = "PostgreSQL's initdb is not here: install Debian's package postgresql-15 (or postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with postgres_server(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def journal_address(request: pytest.FixtureRequest, tmp_path: Path) -> JournalAddress:
    """An empty journal of each kind."""
    if request.param == "sqlite":
        return sqlite_address(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return JournalAddress(server.new_database())
