"""What runs the services of a target: a Docker engine, or processes of this host."""

from typing import Literal

from pydantic import Field

from runbook.systems.settings_group import Group


class RuntimeSettings(Group):
    """What runs the services: Docker, or processes that `stack.up` started."""

    kind: Literal["docker", "processes"] = Field("docker", description="what runs the services")
    docker_host: str | None = Field(None, description="engine address; None: DOCKER_HOST or the socket")
