"""What the tests on a real engine share: the engine, the stack in containers, and small containers of one test."""

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from runbook.local_stack import docker_stack
from runbook.observer import NullObserver
from runbook.settings import DOCKER, load_target
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.runtime import Service, ServiceState
from runbook.systems.runtime_settings import RuntimeSettings
from runbook.waiting import Pending, wait_until
from tests.containers import Starting, images_of_the_stack, need_an_engine, small_containers
from tests.docker.docker_parts import Installation


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip where there is none."""
    need_an_engine()


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Return the variables that name the images of the stack."""
    return images_of_the_stack()


@pytest.fixture(scope="module")
def stack(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Have the installation up for the tests of one module."""
    directory = tmp_path_factory.mktemp("installation")
    try:
        docker_stack.up(directory, NullObserver(), environment=images)
        target = load_target(DOCKER, directory=directory)
        with contextlib.closing(DockerRuntime(target.runtime)) as runtime:
            yield Installation(directory, target, runtime)
    finally:
        docker_stack.down(directory, NullObserver())


@pytest.fixture
def runtime(engine: None) -> Iterator[DockerRuntime]:  # noqa: ARG001 - without it there is nothing to connect to
    with contextlib.closing(DockerRuntime(RuntimeSettings(docker_host=os.environ.get("DOCKER_HOST")))) as made:
        yield made


@pytest.fixture
def started(images: dict[str, str]) -> Iterator[Starting]:
    """Start small containers of the sink's image."""
    with small_containers(images["SINK_IMAGE"]) as start:
        yield start


@pytest.fixture
def state_of(runtime: DockerRuntime) -> Callable[..., ServiceState]:
    """Wait for a state of a container; fails after twenty seconds."""

    def wait(service: Service, wanted: Callable[[ServiceState], bool]) -> ServiceState:
        def probe() -> ServiceState | Pending:
            state = runtime.state(service)
            return state if wanted(state) else Pending(str(state))

        return wait_until(probe, what="the state", deadline_s=20, where=service.name, fix="none", every_s=0.1)

    return wait
