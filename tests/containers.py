"""Containers for tests: whether an engine answers here, and small ones that run a few lines of Python."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from runbook.errors import RunbookError
from runbook.local_stack.engine import compose_command, docker
from runbook.systems.runtime import Service
from tests.images.build import built_images

Starting = Callable[..., Service]


def need_an_engine() -> None:
    """Skip, and say why, where no engine answers, or where these tests would meet each other on it."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("one engine has room for one installation: run these tests without -n")
    try:
        docker("info")
        compose_command()
    except RunbookError as error:
        pytest.skip(f"Docker cannot be used here: {error.seen.splitlines()[-1]}")


def images_of_the_stack(real: Collection[str] = ()) -> dict[str, str]:
    """Return the variables for the stack in containers, with images that are built now unless this engine has them.

    `real` names the parts that real programs play. Skips where the images cannot be made.
    """
    need_an_engine()
    try:
        return built_images(print, real)
    except RunbookError as error:
        pytest.skip(f"The images cannot be made here: {error.seen.splitlines()[-1]}")


@contextmanager
def small_containers(image: str) -> Iterator[Starting]:
    """Start containers of an image with Python that run a few lines of it; they are removed after the block."""
    names: list[str] = []

    def start(code: str, *options: str, network: str = "none") -> Service:
        name = f"crm-test-{uuid4().hex[:8]}"
        names.append(name)
        python = ("--entrypoint", "python3", image, "-u", "-c", code)
        docker("run", "--detach", "--name", name, "--network", network, *options, *python)
        return Service(name=name, container=name)

    try:
        yield start
    finally:
        if names:
            docker("rm", "--force", "--volumes", *names)
