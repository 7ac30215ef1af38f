"""`python -m runbook.local_stack.fakes.plain_sink`: the sink as it is often written first, and as the field has it.

One `labels().inc()` per event: a series appears with the event that it counts, so it is born above zero, and
Prometheus has no rate for what it never saw grow. `stack.break V_BORN` puts this program in the sink's place.
"""

import json
import os
import signal
import threading
from datetime import UTC, datetime

from confluent_kafka import Consumer
from prometheus_client import Counter, start_http_server

from runbook.local_stack.fakes.serving import HOST, Request, Response, Route, Server, json_response, routed

NAME = "plain-sink"
_POLL_S = 0.5
_SESSION_MS = 3_000


def events_counter() -> Counter:
    """Make the one counter of the page."""
    return Counter("crm_events_ingested", "CRM domain events consumed", ("topic", "tenant_id"))


def main(counted: Counter | None = None) -> None:
    """Count until SIGTERM; events are committed by the client library's timer."""
    events = counted or events_counter()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    topics = os.environ["TOPICS"].split(",")
    start_http_server(int(os.environ["PROM_PORT"]), addr=HOST)
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"],
            "group.id": os.environ["GROUP_ID"],
            "auto.offset.reset": "earliest",
            "session.timeout.ms": _SESSION_MS,
            "heartbeat.interval.ms": _SESSION_MS // 6,  # the default equals the session: it would rejoin all the time
        }
    )
    with Server(NAME, int(os.environ["HTTP_PORT"]), routed((Route("GET", "/health", _health),))):
        consumer.subscribe(topics)
        _say(f"CRM Events Sink started. Listening to topics: {topics}")
        while not ended.is_set():
            _count(consumer, events)
        consumer.close()


def _count(consumer: Consumer, events: Counter) -> None:
    message = consumer.poll(_POLL_S)
    if message is None or message.error() is not None:
        return
    event = json.loads(message.value() or b"{}")
    tenant = event.get("tenant_id", "unknown")
    events.labels(topic=message.topic(), tenant_id=tenant).inc()
    _say(
        f"[{datetime.now(UTC).replace(tzinfo=None).isoformat()}] Received {event.get('event_type')} for tenant {tenant}"
    )


def _health(_: Request) -> Response:
    return json_response(200, {"status": "healthy", "service": "crm-events-sink"})


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the line is this program's log


if __name__ == "__main__":
    main()
