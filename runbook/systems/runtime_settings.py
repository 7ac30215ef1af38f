"""What runs the services of a target: a Docker engine, or processes of this host."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from runbook.systems.engine_addresses import check_engine_address
from runbook.systems.settings_group import Group


def _checked(address: str | None) -> str | None:
    if address:
        check_engine_address(address)
    return address


class RuntimeSettings(Group):
    """What runs the services: Docker, or processes that `stack.up` started."""

    kind: Literal["docker", "processes"] = Field("docker", description="what runs the services")
    docker_host: Annotated[str | None, AfterValidator(_checked)] = Field(
        None,
        description="engine address; unset: DOCKER_HOST, then the docker context, then a socket that is here",
        examples=["tcp://engine.example:2376"],
    )
