"""What runs the services of a target: a Docker engine, processes of this host, or nothing that could be asked."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from runbook.systems.engine_addresses import check_engine_address
from runbook.systems.settings_group import Group


def _checked(address: str | None) -> str | None:
    if address:
        check_engine_address(address)
    return address


class RuntimeSettings(Group):
    """What runs the services: Docker, processes that `stack.up` started, or nothing that could be asked."""

    kind: Literal["docker", "processes", "none"] = Field(
        "docker", description="what runs the services; none: they are restarted by hand, or by their own reload"
    )
    docker_host: Annotated[str | None, AfterValidator(_checked)] = Field(
        None,
        description="engine address; unset: DOCKER_HOST, then the docker context, then a socket that is here",
        examples=["tcp://engine.example:2376"],
    )

    @property
    def is_managed(self) -> bool:
        """Whether there is a runtime to ask: for the state of a service, its restart, its ports."""
        return self.kind != "none"
