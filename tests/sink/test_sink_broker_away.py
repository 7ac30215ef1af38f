"""Apache Kafka away for a minute under load: the sink recovers by itself, and nothing is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from runbook.waiting import watch
from tests.sink.chaos import REAL_GROUP
from tests.sink.journals import sqlite_address
from tests.sink.ledger import Audit, Ledger, Load
from tests.sink.real_kafka import RealKafka
from tests.sink.sink_process import LEADS, SinkProcess, wait_until

pytestmark = pytest.mark.real

AWAY_S: Final = 60.0
NOTICED_S: Final = 30.0
BACK_S: Final = 60.0
WAYS: Final[dict[str, tuple[Callable[[RealKafka], None], Callable[[RealKafka], None]]]] = {
    "hangs": (RealKafka.hang, RealKafka.go_on),
    "stops": (RealKafka.stop, RealKafka.start),
}


@pytest.mark.parametrize("way", WAYS)
def test_broker_away_for_a_minute(own_real_kafka: RealKafka, tmp_path: Path, way: str) -> None:
    """All the time not ready, but alive, so that nothing restarts it; then the same process continues, exactly."""
    leave, come_back = WAYS[way]
    own_real_kafka.create(LEADS, 4)
    journal = sqlite_address(tmp_path)
    sink = SinkProcess(own_real_kafka.bootstrap, tmp_path / "stdout")
    rows = journal.env(SINK_JOURNAL_EVENTS="rows")
    sink.env |= {"TOPICS": LEADS, "SINK_DLQ_TOPIC": "", "SINK_LOG_EVENTS": "none", **REAL_GROUP, **rows}
    sink.start_ready()
    ledger = Ledger(LEADS)
    load = Load(own_real_kafka, ledger, partitions=4, per_s=300, seed=1)
    try:
        wait_until(lambda: sink.samples().counted() > 0)
        leave(own_real_kafka)
        wait_until(lambda: sink.status("/readyz") == 503, NOTICED_S)
        states: set[tuple[int, int]] = set()

        def look() -> tuple[set[tuple[int, int]], bool]:
            states.add((sink.status("/livez"), sink.status("/readyz")))
            return states, False

        assert watch(look, deadline_s=AWAY_S, every_s=0.5)[0] == {(200, 503)}
        come_back(own_real_kafka)
        wait_until(lambda: sink.status("/readyz") == 200, BACK_S)
        load.stop()
        wait_until(lambda: sink.samples().passed() == sum(ledger.ends().values()), BACK_S)
        assert sink.samples().counted() == sum(ledger.ends().values())
        assert sink.stop() == 0
    finally:
        sink.kill()
        load.stop()
    audit = Audit(ledger)
    with journal.reader() as reader:
        audit.counts(reader, load.settle)
        audit.rows(reader)
    assert (audit.missing, audit.duplicate) == (0, 0)
