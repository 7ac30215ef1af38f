"""The gateway: where it is, and who we are there."""

from typing import Annotated

from pydantic import Field

from runbook.systems.http_settings import HttpSettings
from runbook.systems.runtime import Service
from runbook.systems.settings_group import plain_address, service_of

_TOKEN_INSTEAD = plain_address("holds a user, a password or a query: leave them out, a request carries the token only")


class GatewaySettings(HttpSettings):
    """The edge proxy and the gateway behind it."""

    url: Annotated[str, _TOKEN_INSTEAD] = Field(
        "http://localhost", description="address of the edge proxy, with its path prefix where it has one"
    )
    host: str = Field("apexflow.aetherlink.local", description="Host header that routes to the gateway")
    service: str = Field("gateway", description="compose service")
    container: str = Field("aether-gateway", description="container name")
    proxy_service: str = Field("traefik", description="compose service of the edge proxy")
    proxy_container: str = Field("aether-traefik", description="container name of the edge proxy")

    @property
    def proxy(self) -> Service:
        """Return the edge proxy as the runtime is asked for it."""
        return service_of(self, "proxy_")
