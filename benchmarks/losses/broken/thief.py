"""Another program in the sink's group, which commits and counts nothing: `python -m benchmarks.losses.broken.thief`.

Started with another GROUP_ID it is a reader like any other. It reads BOOTSTRAP, GROUP_ID and TOPICS.
"""

import os
import signal
import threading

from confluent_kafka import Consumer

_POLL_S = 0.5


def main() -> None:
    """Read until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["BOOTSTRAP"],
            "group.id": os.environ["GROUP_ID"],
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 3000,
            "heartbeat.interval.ms": 500,
        }
    )
    consumer.subscribe(os.environ["TOPICS"].split(","))
    print("joining", flush=True)  # noqa: T201 - its log
    told = False
    while not ended.is_set():
        consumer.poll(_POLL_S)
        if consumer.assignment() and not told:
            told = True
            print(f"assigned {len(consumer.assignment())} partitions", flush=True)  # noqa: T201 - its log
    consumer.close()


if __name__ == "__main__":
    main()
