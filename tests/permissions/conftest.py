"""One local stack behind proxies for the tests of one module."""

import os
from collections.abc import Iterator

import pytest

from runbook.errors import RunbookError
from runbook.local_stack.tools import found_tools
from tests.permissions.recorded_stack import RecordedStack, recorded_stack


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedStack]:
    """A stack in the state before the runbook, whose every request is recorded."""
    for name in [name for name in os.environ if name.startswith("RUNBOOK_")]:
        del os.environ[name]
    try:
        found_tools(print)
    except RunbookError as error:
        pytest.skip(f"no Prometheus: {error.seen}")
    with recorded_stack(tmp_path_factory.mktemp("recorded")) as made:
        yield made
