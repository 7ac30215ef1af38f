"""The gateway: where it is, and who we are there."""

from typing import Annotated

from pydantic import Field

from runbook.systems.http_settings import HttpSettings
from runbook.systems.settings_group import plain_address

_TOKEN_INSTEAD = plain_address("holds a user, a password or a query: leave them out, a request carries the token only")


class GatewaySettings(HttpSettings):
    """The edge proxy and the gateway behind it."""

    url: Annotated[str, _TOKEN_INSTEAD] = Field(
        "http://localhost", description="address of the edge proxy, with its path prefix where it has one"
    )
    host: str = Field("apexflow.aetherlink.local", description="Host header that routes to the gateway")
    service: str = Field("gateway", description="compose service")
    container: str = Field("aether-gateway", description="container name")
