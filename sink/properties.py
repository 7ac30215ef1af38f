"""The librdkafka properties of the sink, and why they differ from the library's defaults."""

from collections.abc import Mapping
from typing import Final

from sink.settings import Settings

Properties = Mapping[str, str | int | bool]

# A KAFKA_ variable may change each of these.
_CONSUMER_DEFAULTS: Final[Properties] = {
    "client.id": "crm-events-sink",
    "log_level": 2,  # for what librdkafka itself writes to stderr; we get its errors by `error_cb`. `debug` makes it 7
    "session.timeout.ms": 10_000,  # the partitions of a killed sink wait this long
    "heartbeat.interval.ms": 500,  # a member learns of a rebalance by a heartbeat; a recovery can take two rebalances
    "topic.metadata.refresh.interval.ms": 3_000,  # how soon a topic created after the start is noticed
    "reconnect.backoff.max.ms": 1_000,
    # Prefetched; default 64 MB. A short queue is still in the processor's cache when the loop takes it.
    "queued.max.messages.kbytes": 8192,
    "fetch.queue.backoff.ms": 2,  # with the default of 1000 the local queue runs empty: 140k instead of 1,200k events/s
    "fetch.wait.max.ms": 100,  # librdkafka's mock broker always waits this long; a real one answers at once
}

# With KIP-848 these are settings of the broker; librdkafka refuses them.
_NOT_IN_848: Final = {"session.timeout.ms", "heartbeat.interval.ms"}

_PRODUCER_DEFAULTS: Final[Properties] = {
    "client.id": "crm-events-sink",
    "log_level": 2,
    "message.max.bytes": 1_000_000_000,  # the broker decides what is too large, not librdkafka
    "message.timeout.ms": 10_000,
    "topic.metadata.refresh.interval.ms": 3_000,  # how soon a topic that refused is tried again; default 300 s
}


def consumer_properties(settings: Settings) -> Properties:
    """Return the properties of the consumer. Exact counting depends on the last ones."""
    return {
        **{
            name: value for name, value in _CONSUMER_DEFAULTS.items() if not (name in _NOT_IN_848 and _is_848(settings))
        },
        **settings.kafka,
        "bootstrap.servers": settings.kafka_bootstrap,
        "group.id": settings.group_id,
        "statistics.interval.ms": 1_000,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # `StartOffsets` decides, and logs what was lost
    }


def is_cooperative(properties: Mapping[str, object]) -> bool:
    """Say whether a rebalance moves single partitions: the cooperative strategy, or the protocol of KIP-848."""
    strategy, protocol = (properties.get(name) for name in ("partition.assignment.strategy", "group.protocol"))
    return protocol == "consumer" or "cooperative" in str(strategy)


def _is_848(settings: Settings) -> bool:
    return settings.kafka.get("group.protocol") == "consumer"


def producer_properties(settings: Settings) -> Properties:
    """Return the properties of the producers of dead letters and of replays."""
    return {
        **_PRODUCER_DEFAULTS,
        **settings.kafka,
        "bootstrap.servers": settings.kafka_bootstrap,
        "enable.idempotence": True,
    }
