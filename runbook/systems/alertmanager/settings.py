"""Alertmanager: where it is, and who we are there."""

from pydantic import Field

from runbook.systems.http_settings import Address, LoginSettings


class AlertmanagerSettings(LoginSettings):
    """Alertmanager."""

    url: Address = Field("http://localhost:9093", description="base address, with its path prefix where it has one")
    service: str = Field("alertmanager", description="compose service")
    container: str = Field("aether-alertmanager", description="container name")
