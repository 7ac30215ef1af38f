"""What the sink is told by its environment: default, variable and meaning side by side.

Everything is checked once, at start. A wrong value is a `SettingsError` that names the variable, what was seen and
what is allowed; the value of a secret is never part of it.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sink.environment import SettingsError, choice, number, secret, secret_from, value
from sink.journal.settings import JournalSettings, journal_settings

DEFAULT_TOPICS: Final = "apexflow.leads.created,apexflow.jobs.created"

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_BROKER = re.compile(r"([A-Za-z_]+://)?(\[[0-9A-Fa-f:.]+\]|[^\s:,/\[\]]+)(:\d{1,5})?")
# A Kubernetes service named "kafka" puts KAFKA_SERVICE_HOST, KAFKA_PORT_9092_TCP... into every pod beside it.
_SERVICE_LINK = re.compile(r"KAFKA_(SERVICE_(HOST|PORT)|PORT)(_.+)?")
_SECRET_FILE = re.compile(r"KAFKA_.*(PASSWORD|SECRET|PEM)_FILE")
# librdkafka's one property with an underscore.
_SPELLED: Final = {"log.level": "log_level"}
# Counting exactly rests on these; the reason stands in the error.
_OWN_PROPERTIES: Final = {
    "bootstrap.servers": "set KAFKA_BOOTSTRAP instead",
    "group.id": "set GROUP_ID instead",
    "enable.auto.commit": "the sink commits what it has counted",
    "enable.auto.offset.store": "the sink commits what it has counted",
    "auto.offset.reset": "the sink starts at the earliest event, and says which were lost",
    "statistics.interval.ms": "the sink reads them for its health",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One start of the sink. Ports are TCP ports; 0, for tests only, lets the system choose."""

    kafka_bootstrap: str  # KAFKA_BOOTSTRAP: brokers, host:port with commas between
    group_id: str  # GROUP_ID: the consumer group that the partitions are shared in
    topics: tuple[str, ...]  # TOPICS: comma list
    prom_port: int  # PROM_PORT: /metrics
    http_port: int  # HTTP_PORT: /health, /livez, /readyz, /events/latest, /replay/ID, /dlq
    bind: str  # SINK_BIND: the IP address both ports listen on
    log_events: bool  # SINK_LOG_EVENTS: all = a line per event, none = no such line
    max_tenants: int  # SINK_MAX_TENANTS: tenants with series of their own
    dlq_topic: str  # SINK_DLQ_TOPIC: where rejected events go; empty = they are only counted
    journal: JournalSettings  # SINK_JOURNAL, SINK_JOURNAL_...
    api_token: str = field(repr=False)  # SINK_API_TOKEN: what a POST must bear; empty = POST from loopback only
    kafka: Mapping[str, str] = field(repr=False)  # KAFKA_*: any other librdkafka property; holds secrets


def load_settings(env: Mapping[str, str]) -> Settings:
    """Read and check the environment; raise SettingsError at the first variable that is wrong."""
    topics = _topics(env)
    prom_port, http_port = number(env, "PROM_PORT", 9105, 65535), number(env, "HTTP_PORT", 9106, 65535)
    if prom_port == http_port:
        raise SettingsError(f"HTTP_PORT is {http_port}, and so is PROM_PORT; they must differ")
    group_id = value(env, "GROUP_ID") or "crm-events-sink"
    return Settings(
        kafka_bootstrap=_bootstrap(env),
        group_id=group_id,
        topics=topics,
        prom_port=prom_port,
        http_port=http_port,
        bind=_bind(env),
        log_events=choice(env, "SINK_LOG_EVENTS", ("all", "none")) == "all",
        max_tenants=number(env, "SINK_MAX_TENANTS", 10_000, 1_000_000),
        dlq_topic=_dlq_topic(env, topics),
        journal=journal_settings(env, group_id),
        api_token=secret(env, "SINK_API_TOKEN"),
        kafka=_kafka_properties(env),
    )


def _bind(env: Mapping[str, str]) -> str:
    seen = value(env, "SINK_BIND") or "127.0.0.1"
    try:
        ipaddress.ip_address(seen)
    except ValueError:
        raise SettingsError(f"SINK_BIND is {seen!r}; allowed is an IP address such as 0.0.0.0") from None
    return seen


def _bootstrap(env: Mapping[str, str]) -> str:
    seen = value(env, "KAFKA_BOOTSTRAP") or "kafka:9092"
    for broker in seen.split(","):
        if not _BROKER.fullmatch(broker.strip()):
            raise SettingsError(f"KAFKA_BOOTSTRAP is {seen!r}; allowed is host:port, with commas between brokers")
    return seen


def _topics(env: Mapping[str, str]) -> tuple[str, ...]:
    seen = value(env, "TOPICS") or DEFAULT_TOPICS
    topics = tuple(topic.strip() for topic in seen.split(","))
    if len(set(topics)) < len(topics) or not all(map(_TOPIC.fullmatch, topics)):
        raise SettingsError(
            f"TOPICS is {seen!r}; allowed are different topic names with commas between, "
            "each of 1 to 249 letters, digits, dots, underscores and hyphens"
        )
    return topics


def _dlq_topic(env: Mapping[str, str], topics: tuple[str, ...]) -> str:
    """Here an empty value means something: no dead letters."""
    seen = env.get("SINK_DLQ_TOPIC", "crm-events-sink.dlq").strip()
    if seen and (seen in topics or not _TOPIC.fullmatch(seen)):
        raise SettingsError(f"SINK_DLQ_TOPIC is {seen!r}; allowed is a topic name not in TOPICS, or empty for none")
    return seen


def _kafka_properties(env: Mapping[str, str]) -> dict[str, str]:
    """KAFKA_SECURITY_PROTOCOL=SASL_SSL becomes security.protocol=SASL_SSL; secrets may come from a file."""
    properties: dict[str, str] = {}
    for name in sorted(env):
        if not name.startswith("KAFKA_") or name == "KAFKA_BOOTSTRAP" or _SERVICE_LINK.fullmatch(name):
            continue
        if not value(env, name):
            continue
        variable, given = name, env[name]
        if _SECRET_FILE.fullmatch(name):
            variable, given = name.removesuffix("_FILE"), secret_from(name, Path(value(env, name)))
        key = variable.removeprefix("KAFKA_").lower().replace("_", ".")
        key = _SPELLED.get(key, key)
        if key in _OWN_PROPERTIES:
            raise SettingsError(f"{name} is set; allowed is to leave it out: {_OWN_PROPERTIES[key]}")
        if key in properties:
            raise SettingsError(f"{variable} and {variable}_FILE are both set; allowed is one of them")
        properties[key] = given
    return properties
