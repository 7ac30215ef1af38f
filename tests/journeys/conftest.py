"""One installation of each kind for the journeys."""

from collections.abc import Iterator

import pytest
from command_line import given
from journey_parts import KINDS, PARAMETERS, Installation

from runbook.errors import RunbookError
from runbook.local_stack.engine import compose_command, docker
from runbook.local_stack.real import REAL, found_programs
from runbook.local_stack.real_images import real_image
from runbook.local_stack.tools import found_tools


@pytest.fixture(scope="module", params=PARAMETERS)
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One of each kind; what this machine cannot have is skipped with the reason."""
    kind: str = request.param
    _skip_without(kind)
    options, target, folder, programs = KINDS[kind]
    directory = tmp_path_factory.mktemp(kind)
    down = [option for option in options if option == "--docker"]
    try:
        up = given(directory, "stack.up", *options)
        assert up.code == 0, up.document
        yield Installation(directory=directory, target=target, folder=folder, programs=programs)
    finally:
        ended = given(directory, "stack.down", *down)
    assert ended.code == 0, ended.document


def _skip_without(kind: str) -> None:
    try:
        if kind.startswith("docker"):
            docker("info")
            compose_command()
        else:
            found_tools(print)
        if kind == "real":
            found_programs(REAL, print)
        if kind == "docker-real":
            for name in REAL:
                real_image(name).look(print)
    except RunbookError as error:
        pytest.skip(f"no {kind} installation here: {error.seen.splitlines()[-1]}")
