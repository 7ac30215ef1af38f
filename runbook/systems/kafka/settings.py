"""Kafka: where it is, and who we are there."""

import json
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from runbook.systems.settings_group import Group


def _read_json(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("this is no JSON") from None  # whose own message could quote a password


class KafkaSettings(Group):
    """The broker, as this host reaches it, and the topics of the two events."""

    bootstrap: str = Field("localhost:19092", description="host:port of the outside listener")
    group: str = Field("crm-events-sink", description="the sink's consumer group")
    lead_topic: str = Field("apexflow.leads.created", description="topic of lead.created")
    job_topic: str = Field("apexflow.jobs.created", description="topic of job.created")
    options: Annotated[dict[str, str], NoDecode, BeforeValidator(_read_json)] = Field(
        default_factory=dict, description="further librdkafka settings, in a variable as JSON", repr=False
    )
    service: str = Field("kafka", description="compose service")
    container: str = Field("kafka", description="container name")
