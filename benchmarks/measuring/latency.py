"""Section: how long an event takes from the producer to the counter, at a quiet, steady rate.

Each event has a number in its `event_type`, which the sink's log line repeats. A line's time is taken right after its
batch was counted, so it is an upper bound of the moment of counting. Both times are of this machine's one clock, with
a resolution of a microsecond; nothing is polled.
"""

import re
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Final

from confluent_kafka import Producer

from benchmarks.measuring.broker import broker
from benchmarks.measuring.load import LEADS, TOPICS, event
from benchmarks.measuring.pages import parsed
from benchmarks.measuring.sink_process import SinkProcess
from runbook.waiting import Pace, watch

MOCK_WAIT_MS: Final = 100  # the sink's default; the mock broker's answers then take up to this long

_PARTITIONS: Final = 4
_TENANTS: Final = 10
_LINE: Final = re.compile(r"^\[(\S+)\] Received lead\.created\.(\d+) for tenant ", re.MULTILINE)
_ASSIGNED: Final = f"crm_events_assigned_partitions {float(_PARTITIONS * len(TOPICS))!r}\n"
_SETTLE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What was seen at one setting; times in milliseconds."""

    situation: str
    fetch_wait_ms: int  # fetch.wait.max.ms of the sink
    events: int
    milliseconds: Sequence[float]  # sorted
    failure: str

    def percentile(self, percent: int) -> float | None:
        """Return the latency that so many percent of the events keep."""
        if len(self.milliseconds) < 2:  # noqa: PLR2004  # quantiles needs two
            return None
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]


def latency(journal: Mapping[str, str], *, per_s: float, seconds: float, fetch_wait_ms: int) -> Latency:
    """Send events at this rate to an idle sink and compare the times.

    librdkafka's mock broker answers an empty fetch only when `fetch.wait.max.ms` is over, also if an event comes
    meanwhile; a real broker answers at once. So the setting decides what is measured here, and is part of the result.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, events = Path(scratch), int(per_s * seconds)
        kept = {name: value.format(folder=folder) for name, value in journal.items()}
        env = {**kept, "SINK_LOG_EVENTS": "all", "KAFKA_FETCH_WAIT_MAX_MS": str(fetch_wait_ms)}
        with (
            broker(folder, dict.fromkeys(TOPICS, _PARTITIONS)) as bootstrap,
            SinkProcess(bootstrap=bootstrap, group="bench-latency", folder=folder, env=env) as sink,
        ):
            sink.first_page(lambda page: _ASSIGNED in page)
            sent = _send(bootstrap, events=events, per_s=per_s)
            counted, _ = watch(lambda: _complete(sink.log, events), deadline_s=_SETTLE_S)
            total = parsed(sink.page()).total()
    return Latency(
        situation=f"{journal['SINK_JOURNAL'].partition(':')[0]}, {fetch_wait_ms} ms",
        fetch_wait_ms=fetch_wait_ms,
        events=events,
        milliseconds=sorted((at_s - sent[number]) * 1e3 for number, at_s in counted.items() if number in sent),
        failure="" if len(counted) == total == events else f"{total} counted, {len(counted)} lines, {events} sent",
    )


def _send(bootstrap: str, *, events: int, per_s: float) -> Mapping[int, float]:
    """Return when each event was handed to the producer, in Unix seconds."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    rhythm, sent = Pace(per_s), {}
    for number in range(events):
        value = event(number, f"t{number % _TENANTS:07d}", LEADS, f"lead.created.{number}")
        rhythm.wait_for_turn()
        sent[number] = time()
        producer.produce(LEADS, value, partition=number % _PARTITIONS)
        producer.poll(0)
    producer.flush(_SETTLE_S)
    return sent


def _complete(log: Path, events: int) -> tuple[dict[int, float], bool]:
    """Return when each event was counted, in Unix seconds, and whether there is a line for every one."""
    lines = _LINE.findall(log.read_text())
    counted = {int(number): datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() for at, number in lines}
    return counted, len(lines) >= events
