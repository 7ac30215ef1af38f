"""The settings of the sink, read from its environment variables and checked once, at start.

A wrong value raises `SettingsError`, which names the variable, the value and what it must be.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sink.environment import SettingsError, secret_from_file
from sink.journal.settings import JournalSettings, journal_settings
from sink.variables import (
    GROUP_ID,
    HTTP_PORT,
    KAFKA_BOOTSTRAP,
    PROM_PORT,
    SINK_API_TOKEN,
    SINK_BIND,
    SINK_DLQ_TOPIC,
    SINK_LOG_EVENTS,
    SINK_MAX_TENANTS,
    TOPICS,
    is_service_link,
    unknown_variables,
)

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_BROKER = re.compile(r"([A-Za-z_]+://)?(\[[0-9A-Fa-f:.]+\]|[^\s:,/\[\]]+)(:\d{1,5})?")
_SECRET_FILE = re.compile(r"KAFKA_.*(PASSWORD|SECRET|PEM)_FILE")
# The one property of librdkafka with an underscore.
_WITH_UNDERSCORE: Final = {"log.level": "log_level"}
# Exact counting depends on these. The value is the reason, for the error.
_RESERVED_PROPERTIES: Final = {
    "bootstrap.servers": "set KAFKA_BOOTSTRAP instead",
    "group.id": "set GROUP_ID instead",
    "enable.auto.commit": "the sink commits what it has counted",
    "enable.auto.offset.store": "the sink commits what it has counted",
    "auto.offset.reset": "the sink starts at the earliest event, and logs which were lost",
    "statistics.interval.ms": "the sink reads them for its health",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one start; `variables` says what each means. Port 0, for tests only, lets the system choose."""

    kafka_bootstrap: str
    group_id: str
    topics: tuple[str, ...]
    prom_port: int
    http_port: int
    bind: str
    log_events: bool
    max_tenants: int
    dlq_topic: str  # empty: no dead letters
    journal: JournalSettings
    api_token: str = field(repr=False)  # empty: POST from this host only
    kafka: Mapping[str, str] = field(repr=False)  # librdkafka properties; some are secrets
    warnings: tuple[str, ...]  # for the log


def load_settings(env: Mapping[str, str]) -> Settings:
    """Read and check the environment; raise SettingsError at the first variable that is wrong."""
    topics = _topics(env)
    prom_port, http_port = PROM_PORT.number(env, 65535), HTTP_PORT.number(env, 65535)
    if prom_port == http_port:
        raise SettingsError(f"HTTP_PORT is {http_port}, and so is PROM_PORT; they must differ")
    group_id = GROUP_ID.text(env)
    return Settings(
        kafka_bootstrap=_bootstrap(env),
        group_id=group_id,
        topics=topics,
        prom_port=prom_port,
        http_port=http_port,
        bind=_bind(env),
        log_events=SINK_LOG_EVENTS.choice(env, ("all", "none")) == "all",
        max_tenants=SINK_MAX_TENANTS.number(env, 1_000_000),
        dlq_topic=_dlq_topic(env, topics),
        journal=journal_settings(env, group_id),
        api_token=SINK_API_TOKEN.secret(env),
        kafka=_kafka_properties(env),
        warnings=tuple(unknown_variables(env)),
    )


def _bind(env: Mapping[str, str]) -> str:
    seen = SINK_BIND.text(env)
    try:
        ipaddress.ip_address(seen)
    except ValueError:
        raise SettingsError(f"SINK_BIND is {seen!r}; it must be an IP address such as 0.0.0.0") from None
    return seen


def _bootstrap(env: Mapping[str, str]) -> str:
    seen = KAFKA_BOOTSTRAP.text(env)
    for broker in seen.split(","):
        if not _BROKER.fullmatch(broker.strip()):
            raise SettingsError(f"KAFKA_BOOTSTRAP is {seen!r}; it must be host:port, with commas between brokers")
    return seen


def _topics(env: Mapping[str, str]) -> tuple[str, ...]:
    seen = TOPICS.text(env)
    topics = tuple(topic.strip() for topic in seen.split(","))
    if len(set(topics)) < len(topics) or not all(map(_TOPIC.fullmatch, topics)):
        raise SettingsError(
            f"TOPICS is {seen!r}; it must be different topic names with commas between, "
            "each of 1 to 249 letters, digits, dots, underscores and hyphens"
        )
    return topics


def _dlq_topic(env: Mapping[str, str], topics: tuple[str, ...]) -> str:
    """Return the dead-letter topic. Here an empty variable is not the default: it means no dead letters."""
    seen = env.get(SINK_DLQ_TOPIC.name, SINK_DLQ_TOPIC.default).strip()
    if seen and (seen in topics or not _TOPIC.fullmatch(seen)):
        raise SettingsError(f"SINK_DLQ_TOPIC is {seen!r}; it must be a topic name that is not in TOPICS, or empty")
    return seen


def _kafka_properties(env: Mapping[str, str]) -> dict[str, str]:
    """Turn KAFKA_SECURITY_PROTOCOL=SASL_SSL into security.protocol=SASL_SSL; secrets may come from a file."""
    properties: dict[str, str] = {}
    for name in sorted(env):
        if not name.startswith("KAFKA_") or name == KAFKA_BOOTSTRAP.name or is_service_link(name):
            continue
        if not env[name].strip():
            continue
        variable, given = name, env[name]
        if _SECRET_FILE.fullmatch(name):
            variable, given = name.removesuffix("_FILE"), secret_from_file(name, Path(given.strip()))
        key = variable.removeprefix("KAFKA_").lower().replace("_", ".")
        key = _WITH_UNDERSCORE.get(key, key)
        if key in _RESERVED_PROPERTIES:
            raise SettingsError(f"{name} is set; it must not be: {_RESERVED_PROPERTIES[key]}")
        if key in properties:
            raise SettingsError(f"{variable} and {variable}_FILE are both set; unset one of them")
        properties[key] = given
    return properties
