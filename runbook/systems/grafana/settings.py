"""Grafana: where it is, and who we are there."""

from typing import Annotated

from pydantic import Field, SecretStr

from runbook.systems.settings_group import NO_QUERY, Login, ServiceGroup


class GrafanaSettings(ServiceGroup):
    """Grafana. admin/admin only because the runbook names it."""

    url: Annotated[str, Login("username", "password"), NO_QUERY] = Field(
        "http://localhost:3000", description="base address"
    )
    username: str = Field("admin", description="user of the API")
    password: SecretStr = Field(SecretStr("admin"), description="that user's password")
    dashboard_uid: str = Field("crm-events-pipeline", description="uid of the dashboard")
    datasource: str = Field("Prometheus", description="name of the datasource that the panels query")
    datasource_uid: str | None = Field(None, description="its uid; unset: asked of Grafana")
    dashboard_inside: str = Field(
        "/var/lib/grafana/dashboards/crm_events_pipeline.json", description="dashboard file as it is inside"
    )
    service: str = Field("grafana", description="compose service")
    container: str = Field("aether-grafana", description="container name")
