"""What the tests on a real engine share: the engine, the stack in containers, and small containers of one test."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runbook.clients.docker import DockerRuntime
from runbook.clients.runtime import Service, ServiceState
from runbook.errors import RunbookError
from runbook.observer import Silence
from runbook.settings import DOCKER, RuntimeSettings, Target, load_target
from runbook.stack import docker_stack
from runbook.stack.engine import compose_command, docker
from runbook.stack.images import built_images
from runbook.waiting import Pending, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
_TASK_S = 150


@dataclass(frozen=True, slots=True)
class Run:
    """One task of the command line: its exit code and its JSON document."""

    code: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Installation:
    """The stack in containers, and the commands that an operator gives it."""

    directory: Path
    target: Target
    runtime: DockerRuntime

    @property
    def rules(self) -> Path:
        return self.directory / ".stack-docker/monitoring/prometheus-crm-events-rules.yml"

    @property
    def dashboard(self) -> Path:
        return self.directory / ".stack-docker/monitoring/grafana/dashboards/crm_events_pipeline.json"

    def does(self, *arguments: str, target: bool = True) -> Run:
        """Give a command as an operator does."""
        meant = ("--target", "docker") if target else ()
        done = subprocess.run(
            [sys.executable, "-m", "runbook", *arguments, *meant, "--json"],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TASK_S,
            check=False,
        )
        assert done.stdout, done.stderr
        return Run(done.returncode, json.loads(done.stdout))


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip, and say why, where no engine answers, or where these tests would meet each other on it."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("one engine has room for one installation: run these tests without -n")
    try:
        docker("info")
        compose_command()
    except RunbookError as error:
        pytest.skip(f"Docker cannot be used here: {error.seen.splitlines()[-1]}")


@pytest.fixture(scope="session")
def images(engine: None) -> dict[str, str]:  # noqa: ARG001 - it decides whether there is anything to build
    """Return the images, built now if this machine has not built them before."""
    try:
        return built_images(print)
    except RunbookError as error:
        pytest.skip(f"The images cannot be made here: {error.seen.splitlines()[-1]}")


@pytest.fixture(scope="module")
def stack(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:  # noqa: ARG001 - built before the stack's time counts
    """Have the installation up for the tests of one module."""
    directory = tmp_path_factory.mktemp("installation")
    try:
        docker_stack.up(directory, Silence())
        target = load_target(DOCKER, directory=directory)
        with contextlib.closing(DockerRuntime(target.runtime)) as runtime:
            yield Installation(directory, target, runtime)
    finally:
        docker_stack.down(directory, Silence())


@pytest.fixture
def runtime(engine: None) -> Iterator[DockerRuntime]:  # noqa: ARG001 - without it there is nothing to connect to
    with contextlib.closing(DockerRuntime(RuntimeSettings(docker_host=os.environ.get("DOCKER_HOST")))) as made:
        yield made


Starting = Callable[..., Service]


@pytest.fixture
def started(images: dict[str, str]) -> Iterator[Starting]:
    """Start containers of the sink's image that run a few lines of Python; they are removed after the test."""
    names: list[str] = []

    def start(code: str, *options: str) -> Service:
        name = f"crm-test-{uuid4().hex[:8]}"
        names.append(name)
        python = ("--entrypoint", "python3", images["SINK_IMAGE"], "-u", "-c", code)
        docker("run", "--detach", "--name", name, "--network", "none", *options, *python)
        return Service(name=name, container=name)

    yield start
    if names:
        docker("rm", "--force", "--volumes", *names)


@pytest.fixture
def state_of(runtime: DockerRuntime) -> Callable[..., ServiceState]:
    """Wait for a state of a container; fails after twenty seconds."""

    def wait(service: Service, wanted: Callable[[ServiceState], bool]) -> ServiceState:
        def probe() -> ServiceState | Pending:
            state = runtime.state(service)
            return state if wanted(state) else Pending(str(state))

        return wait_until(probe, what="the state", deadline_s=20, where=service.name, fix="none", every_s=0.1)

    return wait
