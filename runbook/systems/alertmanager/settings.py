"""Alertmanager: where it is, and who we are there."""

from pydantic import Field

from runbook.systems.settings_group import Group


class AlertmanagerSettings(Group):
    """Alertmanager."""

    url: str = Field("http://localhost:9093", description="base address")
    service: str = Field("alertmanager", description="compose service")
    container: str = Field("aether-alertmanager", description="container name")
