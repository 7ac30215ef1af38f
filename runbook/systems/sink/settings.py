"""The sink: where it is, and who we are there."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from runbook.systems.http_settings import HttpSettings, Token
from runbook.systems.settings_group import NO_QUERY, Login, plain_address

_NO_LOGIN_LEFT = plain_address("holds a user and a password")


class SinkSettings(HttpSettings):
    """The CRM events sink."""

    metrics_url: Annotated[str, Login("metrics_username", "metrics_password", "metrics_query"), _NO_LOGIN_LEFT] = Field(
        "http://localhost:9105/metrics", description="the page that Prometheus scrapes"
    )
    metrics_username: str = Field("", description="user, where a proxy before that page asks for one")
    metrics_password: SecretStr | None = Field(None, description="that user's password")
    metrics_token: Token = Field(None, description="bearer token for that page; with one, its password is not sent")
    metrics_query: SecretStr | None = Field(None, description="what follows the ? of that page's address")
    http_url: Annotated[str, Login("http_username", "http_password"), NO_QUERY] = Field(
        "http://localhost:9106", description="health endpoints"
    )
    http_username: str = Field("", description="user, where a proxy before them asks for one")
    http_password: SecretStr | None = Field(None, description="that user's password")
    log_file: Path | None = Field(
        None, description="its log, read where the runtime is none", examples=["/var/log/crm-events-sink.log"]
    )
    http_token: Token = Field(None, description="bearer token for them; with one, their password is not sent")
    service: str = Field("crm-events-sink", description="compose service")
    container: str = Field("aether-crm-events-sink", description="container name")
