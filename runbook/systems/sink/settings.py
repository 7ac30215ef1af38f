"""The sink: where it is, and who we are there."""

from pydantic import Field

from runbook.systems.settings_group import Group


class SinkSettings(Group):
    """The CRM events sink."""

    metrics_url: str = Field("http://localhost:9105/metrics", description="the page that Prometheus scrapes")
    http_url: str = Field("http://localhost:9106", description="health endpoints")
    service: str = Field("crm-events-sink", description="compose service")
    container: str = Field("aether-crm-events-sink", description="container name")
