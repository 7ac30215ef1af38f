"""One installation of each kind for the journeys."""

from collections.abc import Iterator

import pytest

from runbook.errors import RunbookError
from runbook.local_stack.real import REAL, found_programs
from runbook.local_stack.tools import found_tools
from tests.command_line import given
from tests.containers import images_of_the_stack
from tests.journeys.journey_parts import KINDS, PARAMETERS, Installation


@pytest.fixture(scope="module", params=PARAMETERS)
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One of each kind; what this machine cannot have is skipped with the reason."""
    kind: str = request.param
    options, target, folder, programs = KINDS[kind]
    real = REAL if programs == "real" else ()
    variables = images_of_the_stack(real) if "--docker" in options else _without_docker(kind)
    directory = tmp_path_factory.mktemp(kind)
    down = [option for option in options if option == "--docker"]
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            up = given(directory, "stack.up", *options)
        assert up.code == 0, up.document
        yield Installation(directory=directory, target=target, folder=folder, programs=programs)
    finally:
        ended = given(directory, "stack.down", *down)
    assert ended.code == 0, ended.document


def _without_docker(kind: str) -> dict[str, str]:
    """Return no variables; skip where a program is missing."""
    try:
        found_tools(print)
        if kind == "real":
            found_programs(REAL, print)
    except RunbookError as error:
        pytest.skip(f"no {kind} installation here: {error.seen.splitlines()[-1]}")
    return {}
