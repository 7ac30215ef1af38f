"""Other members of the sink's group: they have their partitions when they are returned."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import Consumer

from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from runbook.waiting import Pending, wait_until

_SESSION_MS: Final = 3000
_HEARTBEAT_MS: Final = 500


def joined_consumer(bootstrap: str, group: str, topics: Sequence[str], *, deadline_s: float) -> Consumer:
    """Return a member that reads nothing. Raises TimeoutError."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "session.timeout.ms": _SESSION_MS,
            "heartbeat.interval.ms": _HEARTBEAT_MS,
            "log_level": 3,
        }
    )
    assigned: list[object] = []
    consumer.subscribe(list(topics), on_assign=lambda *_: assigned.append(None))
    ends_at = time.monotonic() + deadline_s
    while not assigned:
        if time.monotonic() > ends_at:
            consumer.close()
            raise TimeoutError(f"no partitions after {deadline_s:g} s")
        consumer.poll(0.1)
    return consumer


def joined_sink(layout: Layout, bootstrap: str, *, deadline_s: float) -> subprocess.Popen[bytes]:
    """Return another sink with the journal in PostgreSQL. Raises WaitError."""
    ports = Ports.free()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "KAFKA_BOOTSTRAP": bootstrap,
        "KAFKA_SESSION_TIMEOUT_MS": str(_SESSION_MS),
        "KAFKA_HEARTBEAT_INTERVAL_MS": str(_HEARTBEAT_MS),
        "SINK_JOURNAL": layout.journal_dsn.read_text("utf-8").strip(),
        "SINK_JOURNAL_EVENTS": "rows",
        "PROM_PORT": str(ports.sink_metrics),
        "HTTP_PORT": str(ports.sink_http),
    }
    log = layout.root.parent / "second-sink.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "sink"], env=environment, stdout=output, stderr=output)

    def assigned() -> bool | Pending:
        return "assigned" in log.read_text("utf-8", "replace") or Pending("no partitions")

    try:
        wait_until(assigned, what="The second sink", deadline_s=deadline_s, where=str(log), fix="read it", every_s=0.1)
    except BaseException:
        process.kill()
        raise
    return process
