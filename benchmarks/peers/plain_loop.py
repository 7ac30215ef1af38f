"""The loop that is written first: one message, one json.loads, one labels().inc(); for each a byte on stdout."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import Consumer
from prometheus_client import CollectorRegistry, Counter, generate_latest

_JOIN_S = 30.0


def main(page: str, bootstrap: str, group: str, idle_s: str, *topics: str) -> None:
    """Count until nothing has come for a while, then write the page of counters."""
    registry = CollectorRegistry()
    events = Counter("crm_events_ingested", "CRM domain events", ("tenant_id", "topic"), registry=registry)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
            "fetch.queue.backoff.ms": 20,
        }
    )
    consumer.subscribe(list(topics))
    _count(consumer, events, float(idle_s))
    consumer.close()
    Path(page).write_bytes(generate_latest(registry))


def _count(consumer: Consumer, events: Counter, idle_s: float) -> None:
    patience = _JOIN_S
    while (message := consumer.poll(patience)) is not None:
        event = json.loads(message.value() or b"")
        events.labels(tenant_id=event["tenant_id"], topic=message.topic()).inc()
        sys.stdout.write(".")
        patience = idle_s


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    main(*arguments)
