"""Kafka: where it is, and who we are there."""

import json
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from runbook.systems.settings_group import ServiceGroup, plain_address

_OPTIONS_INSTEAD = plain_address("holds a user or a password: give them as sasl.username and sasl.password in options")


def _read_json(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("is not JSON") from None  # whose own message could quote a password


class KafkaSettings(ServiceGroup):
    """The broker, as this host reaches it, and the topics of the two events."""

    bootstrap: Annotated[str, _OPTIONS_INSTEAD] = Field(
        "localhost:19092", description="host:port of the outside listener"
    )
    group: str = Field("crm-events-sink", description="the sink's consumer group")
    lead_topic: str = Field("apexflow.leads.created", description="topic of lead.created")
    job_topic: str = Field("apexflow.jobs.created", description="topic of job.created")
    options: Annotated[dict[str, SecretStr], BeforeValidator(_read_json)] = Field(
        default_factory=dict,
        description="further librdkafka settings, in a variable as JSON",
        examples=[{"security.protocol": "SASL_SSL", "sasl.username": "runbook"}],
    )
    service: str = Field("kafka", description="compose service")
    container: str = Field("kafka", description="container name")
