"""Messages of other producers: events of any tenant, and what is no event or hardly one."""

import json
from collections.abc import Sequence
from random import Random
from typing import Final

from confluent_kafka import Producer

from runbook.local_stack.service_spec import TOPICS

_TENANTS: Final = ("acme", "globex", "initech", "größe", "a b", "__overflow__x")
_FLUSH_S: Final = 10.0
_NEAR: Final = 30  # ids: as many as a run creates
_BATCH: Final = '"tenant_id":"acme","event_type":"lead.created"'

GARBAGE: Final[Sequence[bytes | None]] = (
    None,
    b"",
    b"   ",
    b"{",
    b"no json",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"17",
    b'"text"',
    b"{}",
    b'{"event_type":"lead.created"}',
    b'{"tenant_id":"acme"}',
    b'{"tenant_id":"","event_type":"lead.created"}',
    b'{"tenant_id":null,"event_type":"lead.created"}',
    b'{"tenant_id":7,"event_type":"lead.created"}',
    b'{"tenant_id":"a\\u0000b","event_type":"lead.created"}',
    b'{"tenant_id":"acme","event_type":["lead.created"]}',
    f'{{"tenant_id":"{"x" * 256}","event_type":"lead.created"}}'.encode(),
    f'{{{_BATCH},"id":1e999}}'.encode(),
    f'{{{_BATCH},"id":-1e999}}'.encode(),
    f'{{{_BATCH},"id":NaN}}'.encode(),
    f'{{{_BATCH},"id":{"9" * 4301}}}'.encode(),
    f'{{{_BATCH},"id":{"[" * 5000}{"]" * 5000}}}'.encode(),
    f'{{{_BATCH},"extra":{"[" * 5000}{"]" * 5000}}}'.encode(),
    f'{{{_BATCH},"extra":"\\ud800"}}'.encode(),
    f'{{{_BATCH},"name":"\\udc00 {"y" * 3}"}}'.encode(),
    b'{"tenant_id":"acme","tenant_id":"globex","event_type":"lead.created","id":1}',
    b'{"tenant_id":"\\ud800","event_type":"lead.created"}',
    f'{{{_BATCH},"id":987654.0}}'.encode(),
    f'{{{_BATCH},"id":"1"}}'.encode(),
    f'{{{_BATCH},"id":true}}'.encode(),
    f"{{{_BATCH}}} trailing".encode(),
    f"\ufeff{{{_BATCH}}}".encode(),
    f"{{{_BATCH}}}\n{{{_BATCH}}}".encode(),
)


def garbage(chance: Random, amount: int) -> list[tuple[str, bytes | None]]:
    """Return so many messages (topic, value) that no producer of ours would send."""
    return [(chance.choice(TOPICS), chance.choice(GARBAGE)) for _ in range(amount)]


def other_events(chance: Random, amount: int, *, highest_id: int) -> list[tuple[str, bytes | None]]:
    """Return events of other producers, for the same tenant and for others, partly with ids that a run of ours has.

    Not one has the tenant, the topic and an id of ours together: that would be our event once more.
    """
    found: list[tuple[str, bytes | None]] = []
    for _ in range(amount):
        topic, tenant = chance.choice(TOPICS), chance.choice(_TENANTS)
        low = highest_id + 10_000 if tenant == "acme" else max(highest_id - _NEAR, 1)
        kind = "lead" if topic == TOPICS[0] else "job"
        body = {"id": chance.randint(low, low + _NEAR), "tenant_id": tenant, "event_type": f"{kind}.created"}
        found.append((topic, json.dumps(body, ensure_ascii=False).encode()))
    return found


def decoys(kind: str, number: int) -> list[tuple[str, bytes | None]]:
    """Return events that resemble the one of an entity of tenant acme, each in all but one thing."""
    topic = TOPICS[0] if kind == "lead" else TOPICS[1]
    body = {"id": number, "tenant_id": "acme", "event_type": f"{kind}.created"}
    differences: Sequence[dict[str, object]] = (
        {"tenant_id": "globex"},
        {"id": str(number)},
        {"id": [number]},
    )
    return [(topic, json.dumps({**body, **difference}).encode()) for difference in differences]


def produce(bootstrap: str, messages: Sequence[tuple[str, bytes | None]]) -> None:
    """Send them, and wait until Kafka has confirmed all. Raises RuntimeError."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 3})
    for topic, value in messages:
        producer.produce(topic, value)
    if left := producer.flush(_FLUSH_S):
        raise RuntimeError(f"{left} messages of other producers were not confirmed")
