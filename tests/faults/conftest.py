"""One local stack for each module: before setup, set up, and mended for each test."""

from collections.abc import Iterator

import pytest

from runbook.errors import ExitCode, RunbookError
from runbook.local_stack import stack
from runbook.local_stack.fault_injector import FaultInjector
from runbook.local_stack.tools import found_tools
from runbook.observer import NullObserver
from tests.faults.fault_stack import Installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    try:
        found_tools(print)
    except RunbookError as error:
        pytest.skip(f"no Prometheus: {error.seen}")
    directory = tmp_path_factory.mktemp("faults")
    stack.up(directory, NullObserver())
    try:
        yield Installation(directory)
    finally:
        stack.down(directory, NullObserver())


@pytest.fixture(scope="module")
def set_up(installation: Installation) -> Installation:
    """The same stack with panels and alert."""
    assert installation.set_up().exit_code == ExitCode.OK
    return installation


@pytest.fixture
def ready(set_up: Installation) -> Iterator[Installation]:
    """The same for one test: what a failed one leaves is mended, so that the next one starts healthy."""
    yield set_up
    if FaultInjector(set_up.directory, set_up.target).injected.every:
        set_up.mend()
