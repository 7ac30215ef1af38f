"""Prometheus: where it is, and who we are there."""

from typing import Annotated

from pydantic import Field, SecretStr

from runbook.systems.settings_group import NO_QUERY, Login, ServiceGroup


class PrometheusSettings(ServiceGroup):
    """Prometheus."""

    url: Annotated[str, Login("username", "password"), NO_QUERY] = Field(
        "http://localhost:9090", description="base address"
    )
    username: str = Field("", description="user, where it asks for one (basic authentication)")
    password: SecretStr | None = Field(None, description="that user's password")
    job: str = Field("crm-events-sink", description="scrape job of the sink")
    rules_inside: str = Field("/etc/prometheus/crm-events-rules.yml", description="rules file as it is inside")
    promtool: str = Field("promtool", description="program that checks rules files, used where it is found")
    service: str = Field("prometheus", description="compose service")
    container: str = Field("aether-prom", description="container name")
