"""Writes each message of a topic to the same topic once more: `python -m benchmarks.losses.broken.mirror`.

It reads BOOTSTRAP and TOPIC, and knows its own copies by a header.
"""

import os
import signal
import threading

from confluent_kafka import Consumer, Producer

_POLL_S = 0.5
_MARK = "mirrored"


def main() -> None:
    """Copy until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    address = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
    member = {"group.id": "mirror", "auto.offset.reset": "earliest", "session.timeout.ms": 3000}
    consumer = Consumer({**address, **member, "heartbeat.interval.ms": 500})
    producer = Producer({**address, "linger.ms": 0})
    consumer.subscribe([os.environ["TOPIC"]])
    told = False
    while not ended.is_set():
        message = consumer.poll(_POLL_S)
        if consumer.assignment() and not told:
            told = True
            print(f"assigned {len(consumer.assignment())} partitions", flush=True)  # noqa: T201 - its log
        if message is None or message.error() or _MARK in dict(message.headers() or ()):
            continue
        producer.produce(message.topic() or "", message.value(), message.key(), headers=[(_MARK, b"1")])
        producer.flush(_POLL_S)
    consumer.close()


if __name__ == "__main__":
    main()
