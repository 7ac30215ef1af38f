"""ApexFlow and its database: how they are called. Both are reached through the gateway."""

from pydantic import Field

from runbook.systems.runtime import Service
from runbook.systems.settings_group import ServiceGroup, service_of


class ApexflowSettings(ServiceGroup):
    """ApexFlow, which creates leads and jobs, and its database."""

    service: str = Field("apexflow", description="compose service")
    container: str = Field("aether-apexflow", description="container name")
    database_service: str = Field("apexflow-db", description="compose service of its database")
    database_container: str = Field("aether-apexflow-db", description="container name of its database")

    @property
    def database(self) -> Service:
        """Return its database as the runtime is asked for it."""
        return service_of(self, "database_")
