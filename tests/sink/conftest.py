"""One real broker per test, and nothing left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mock_kafka import MockKafka
from sink_process import SinkProcess


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    """One broker without topics."""
    broker = MockKafka()
    yield broker
    broker.close()


@pytest.fixture
def sink(kafka: MockKafka, tmp_path: Path) -> Iterator[SinkProcess]:
    """The sink as a process of its own, not yet started."""
    process = SinkProcess(kafka.bootstrap, tmp_path / "stdout")
    yield process
    process.kill()
