"""Keycloak: where it is, and who we are there."""

from typing import Annotated

from pydantic import Field, SecretStr

from runbook.systems.http_settings import HttpSettings, Token
from runbook.systems.settings_group import NO_QUERY, Login


class KeycloakSettings(HttpSettings):
    """The issuer of the token. demo/demo only because the runbook names it."""

    url: Annotated[str, Login("proxy_username", "proxy_password"), NO_QUERY] = Field(
        "http://localhost:8180", description="base address, without /realms; before version 17 it ends with /auth"
    )
    proxy_username: str = Field("", description="user, where a proxy before Keycloak asks for one")
    proxy_password: SecretStr | None = Field(None, description="that user's password")
    proxy_token: Token = Field(None, description="bearer token for that proxy; with one, its password is not sent")
    realm: str = Field("aetherlink", description="realm of the CRM")
    client_id: str = Field("aetherlink-gateway", description="public client with direct access grants")
    client_secret: SecretStr | None = Field(None, description="only for a confidential client")
    username: str = Field("demo", description="user who creates the test data")
    password: SecretStr = Field(SecretStr("demo"), description="that user's password")
    service: str = Field("keycloak", description="compose service")
    container: str = Field("aether-keycloak", description="container name")
