"""The gateway: where it is, and who we are there."""

from pydantic import Field

from runbook.systems.settings_group import Group


class GatewaySettings(Group):
    """The edge proxy, the gateway and ApexFlow behind it."""

    url: str = Field("http://localhost", description="address of the edge proxy")
    host: str = Field("apexflow.aetherlink.local", description="Host header that routes to the gateway")
    service: str = Field("gateway", description="compose service")
    container: str = Field("aether-gateway", description="container name")
    apexflow_service: str = Field("apexflow", description="compose service of ApexFlow")
    apexflow_container: str = Field("aether-apexflow", description="container name of ApexFlow")
