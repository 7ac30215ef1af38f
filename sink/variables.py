"""The environment variables of the sink, in the order in which the help and docs/SINK.md list them."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from sink.environment import Variable

KAFKA_BOOTSTRAP: Final = Variable(
    name="KAFKA_BOOTSTRAP", default="kafka:9092", meaning="brokers: host:port, with commas between"
)
GROUP_ID: Final = Variable(name="GROUP_ID", default="crm-events-sink", meaning="consumer group")
TOPICS: Final = Variable(
    name="TOPICS", default="apexflow.leads.created,apexflow.jobs.created", meaning="topics, with commas between"
)
PROM_PORT: Final = Variable(name="PROM_PORT", default="9105", meaning="port of /metrics")
HTTP_PORT: Final = Variable(
    name="HTTP_PORT", default="9106", meaning="port of /health, /livez, /readyz and of the HTTP API"
)
SINK_BIND: Final = Variable(
    name="SINK_BIND", default="127.0.0.1", meaning="IP address that both ports listen on; the image sets 0.0.0.0"
)
SINK_LOG_EVENTS: Final = Variable(
    name="SINK_LOG_EVENTS", default="all", meaning="all: one log line for each event; none: no such lines"
)
SINK_MAX_TENANTS: Final = Variable(
    name="SINK_MAX_TENANTS",
    default="10000",
    meaning="tenants with time series of their own; all others are counted together as __overflow__",
)
SINK_DLQ_TOPIC: Final = Variable(
    name="SINK_DLQ_TOPIC",
    default="crm-events-sink.dlq",
    meaning="dead-letter topic for rejected messages; empty: they are only counted",
)
SINK_JOURNAL: Final = Variable(
    name="SINK_JOURNAL",
    default="sqlite:crm-events-sink.sqlite",
    meaning="sqlite:PATH, postgresql://... or none: where counts and offsets are stored",
    is_secret=True,
)
POSTGRES_DSN: Final = Variable(
    name="POSTGRES_DSN",
    meaning="PostgreSQL address of the journal if SINK_JOURNAL is not set",
    is_secret=True,
)
SINK_JOURNAL_EVENTS: Final = Variable(
    name="SINK_JOURNAL_EVENTS",
    default="counts",
    meaning="rows: the journal stores every message, too; this is the default if only POSTGRES_DSN is set",
)
SINK_JOURNAL_MAX_ROWS: Final = Variable(
    name="SINK_JOURNAL_MAX_ROWS", default="1000000", meaning="how many messages stay in the journal"
)
SINK_JOURNAL_MAX_DAYS: Final = Variable(
    name="SINK_JOURNAL_MAX_DAYS", default="30", meaning="how many days a message stays in the journal"
)
SINK_API_TOKEN: Final = Variable(
    name="SINK_API_TOKEN",
    meaning="bearer token that a POST must have; not set: only a program on this host may POST",
    is_secret=True,
)
KAFKA_ANY: Final = Variable(
    name="KAFKA_*", meaning="any other librdkafka property: KAFKA_SECURITY_PROTOCOL is security.protocol"
)

VARIABLES: Final = (
    *(KAFKA_BOOTSTRAP, GROUP_ID, TOPICS, PROM_PORT, HTTP_PORT, SINK_BIND, SINK_LOG_EVENTS, SINK_MAX_TENANTS),
    *(SINK_DLQ_TOPIC, SINK_JOURNAL, POSTGRES_DSN, SINK_JOURNAL_EVENTS, SINK_JOURNAL_MAX_ROWS, SINK_JOURNAL_MAX_DAYS),
    *(SINK_API_TOKEN, KAFKA_ANY),
)

_NAMES: Final = (
    *(variable.name for variable in VARIABLES),
    *(f"{variable.name}_FILE" for variable in VARIABLES if variable.is_secret),
)
_KNOWN: Final = {name.removeprefix("SINK_"): name for name in _NAMES}
# A Kubernetes service named "kafka" puts KAFKA_SERVICE_HOST, KAFKA_PORT_9092_TCP... into every pod beside it.
_SERVICE_LINK: Final = re.compile(r"(KAFKA|SINK)_(SERVICE_(HOST|PORT)|PORT)(_.+)?")


def is_service_link(name: str) -> bool:
    """Say whether Kubernetes sets a variable of this name for a service named "kafka" or "sink"."""
    return _SERVICE_LINK.fullmatch(name) is not None


def unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    """Return a warning for each variable SINK_* that the sink does not read, with the nearest name that it reads."""
    for name in sorted(env):
        if name.startswith("SINK_") and name not in _NAMES and env[name] and not _is_of_kubernetes(name, env[name]):
            nearest = get_close_matches(name.removeprefix("SINK_"), _KNOWN, n=1)
            hint = f"did you mean {_KNOWN[nearest[0]]}?" if nearest else "crm-events-sink --help lists those it reads"
            yield f"{name} is set, but the sink does not read it; {hint}"


def _is_of_kubernetes(name: str, value: str) -> bool:
    """A person may have meant SINK_PORT; that of Kubernetes is an address."""
    return value.startswith("tcp://") if name == "SINK_PORT" else is_service_link(name)
