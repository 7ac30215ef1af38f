"""librdkafka's errors: which of them say why no broker answered, and what each means to an operator."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError

# librdkafka's own codes are public, whatever their underscore says; the others are the Kafka protocol's.
EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - see above
_RESOLVE: Final = KafkaError._RESOLVE  # noqa: SLF001 - see above
_ALL_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - see above
OUT_OF_RANGE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001 - see above
CANNOT_SAY: Final = frozenset({KafkaError._UNSUPPORTED_FEATURE, KafkaError.UNSUPPORTED_VERSION})  # noqa: SLF001 - see above
_TIMED_OUT: Final = frozenset({KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT})  # noqa: SLF001 - see above
_VAGUE: Final = _TIMED_OUT | {KafkaError._TRANSPORT, _ALL_DOWN}  # noqa: SLF001 - see above
NO_GROUP: Final = 69
"""GROUP_ID_NOT_FOUND: what a broker may say instead of describing a dead group."""


def cause_of(error: KafkaError, said: Iterable[KafkaError]) -> KafkaError:
    """Return the error of a request; one that only says "no answer" gives way to the last word about a broker."""
    causes = [one for one in said if one.code() != _ALL_DOWN] if error.code() in _VAGUE else []
    return causes[-1] if causes else error


def reason_of(error: KafkaError) -> str:
    """Return the reason of UnreachableError; librdkafka has a code for names, but only prose for a refusal."""
    if error.code() == _RESOLVE:
        return "dns"
    if "refused" in error.str():
        return "refused"
    return "timeout" if error.code() in _TIMED_OUT else "broken"
