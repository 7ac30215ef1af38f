"""Keycloak: where it is, and who we are there."""

from pydantic import Field, SecretStr

from runbook.systems.settings_group import Group


class KeycloakSettings(Group):
    """The issuer of the token. demo/demo only because the runbook names it."""

    url: str = Field("http://localhost:8180", description="base address, without /realms")
    realm: str = Field("aetherlink", description="realm of the CRM")
    client_id: str = Field("aetherlink-gateway", description="public client with direct access grants")
    client_secret: SecretStr | None = Field(None, description="only for a confidential client")
    username: str = Field("demo", description="user who creates the test data")
    password: SecretStr = Field(SecretStr("demo"), description="that user's password")
    service: str = Field("keycloak", description="compose service")
    container: str = Field("aether-keycloak", description="container name")
