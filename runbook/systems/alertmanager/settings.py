"""Alertmanager: where it is, and who we are there."""

from typing import Annotated

from pydantic import Field, SecretStr

from runbook.systems.settings_group import NO_QUERY, Login, ServiceGroup


class AlertmanagerSettings(ServiceGroup):
    """Alertmanager."""

    url: Annotated[str, Login("username", "password"), NO_QUERY] = Field(
        "http://localhost:9093", description="base address"
    )
    username: str = Field("", description="user, where it asks for one (basic authentication)")
    password: SecretStr | None = Field(None, description="that user's password")
    service: str = Field("alertmanager", description="compose service")
    container: str = Field("aether-alertmanager", description="container name")
