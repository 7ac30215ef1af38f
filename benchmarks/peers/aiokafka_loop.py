"""aiokafka's fastest way, getmany, decoding nothing: for each message a byte on stdout."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer  # type: ignore[import-not-found]  # lives in the peers' own environment

_JOIN_S = 30.0
_BATCH = 5_000


async def main(bootstrap: str, group: str, idle_s: str, *topics: str) -> None:
    """Read until nothing has come for a while."""
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", fetch_max_wait_ms=100
    )
    await consumer.start()
    patience_s = _JOIN_S
    try:
        while batch := await consumer.getmany(timeout_ms=int(patience_s * 1000), max_records=_BATCH):
            sys.stdout.write("." * sum(map(len, batch.values())))
            patience_s = float(idle_s)
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
