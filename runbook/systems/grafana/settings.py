"""Grafana: where it is, and who we are there."""

from pydantic import Field, SecretStr

from runbook.systems.http_settings import Address, LoginSettings, Token


class GrafanaSettings(LoginSettings):
    """Grafana. admin/admin only because the runbook names it."""

    url: Address = Field("http://localhost:3000", description="base address, with its path prefix where it has one")
    username: str = Field("admin", description="user of the API")
    password: SecretStr | None = Field(SecretStr("admin"), description="that user's password")
    token: Token = Field(None, description="token of a service account; with one, neither user nor password is sent")
    dashboard_uid: str = Field("crm-events-pipeline", description="uid of the dashboard")
    datasource: str = Field("Prometheus", description="name of the datasource that the panels query")
    datasource_uid: str | None = Field(None, description="its uid; unset: asked of Grafana")
    dashboard_inside: str = Field(
        "/var/lib/grafana/dashboards/crm_events_pipeline.json", description="dashboard file as it is inside"
    )
    service: str = Field("grafana", description="compose service")
    container: str = Field("aether-grafana", description="container name")

    @property
    def who(self) -> str:
        """Who we are there, as errors name it."""
        return "the service account of the token" if self.bearer() else self.username
