"""The librdkafka properties that the sink runs with, and why they are not the library's own defaults."""

from collections.abc import Mapping
from typing import Final

from sink.settings import Settings

Properties = Mapping[str, str | int | bool]

# Each of these may be changed by its KAFKA_ variable.
_CONSUMER_DEFAULTS: Final[Properties] = {
    "client.id": "crm-events-sink",
    "log_level": 2,  # librdkafka writes to stderr itself; its errors come to us as `error_cb`. `debug` makes it 7
    "session.timeout.ms": 10_000,  # a killed sink holds its partitions this long
    "heartbeat.interval.ms": 500,  # how soon a member learns of a rebalance, and there can be two in a recovery
    "topic.metadata.refresh.interval.ms": 3_000,  # how soon a topic made after the start is noticed
    "reconnect.backoff.max.ms": 1_000,
    # Fetched ahead: default 64 MB. What lies in a short queue is still in the processor's cache when the loop takes it.
    "queued.max.messages.kbytes": 8192,
    "fetch.queue.backoff.ms": 2,  # default 1000: a full local queue runs dry, 140k instead of 1,200k events/s
    "fetch.wait.max.ms": 100,  # librdkafka's mock broker always waits this long; real ones answer at once
}

# With KIP-848 the broker decides these; librdkafka refuses them.
_CLASSIC: Final = {"session.timeout.ms", "heartbeat.interval.ms"}

_PRODUCER_DEFAULTS: Final[Properties] = {
    "client.id": "crm-events-sink",
    "log_level": 2,
    "message.max.bytes": 1_000_000_000,  # the broker decides what is too large, not librdkafka
    "message.timeout.ms": 10_000,
    "topic.metadata.refresh.interval.ms": 3_000,  # how soon a topic that refused is tried again; default 300 s
}


def consumer_properties(settings: Settings) -> Properties:
    """Return what the group member runs with; exact counting rests on the last lines."""
    return {
        **{name: value for name, value in _CONSUMER_DEFAULTS.items() if not (name in _CLASSIC and _is_848(settings))},
        **settings.kafka,
        "bootstrap.servers": settings.kafka_bootstrap,
        "group.id": settings.group_id,
        "statistics.interval.ms": 1_000,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # `Membership.locate` decides, and says what was lost
    }


def is_cooperative(properties: Mapping[str, object]) -> bool:
    """Say whether partitions come and go one by one: the cooperative strategy, or the protocol of KIP-848."""
    strategy, protocol = (properties.get(name) for name in ("partition.assignment.strategy", "group.protocol"))
    return protocol == "consumer" or "cooperative" in str(strategy)


def _is_848(settings: Settings) -> bool:
    return settings.kafka.get("group.protocol") == "consumer"


def producer_properties(settings: Settings) -> Properties:
    """Return what the writer of dead letters runs with."""
    return {
        **_PRODUCER_DEFAULTS,
        **settings.kafka,
        "bootstrap.servers": settings.kafka_bootstrap,
        "enable.idempotence": True,
    }
