"""One local stack for the tests that need the whole chain: up once, with panels and alert, down at the end."""

import os
from collections.abc import Iterator

import pytest
from chain import Chain

from runbook.errors import RunbookError
from runbook.observer import Silence
from runbook.stack import stack
from runbook.stack.tools import found_tools


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A stack with panels and alert. What a test takes away from it, it brings back."""
    for name in [name for name in os.environ if name.startswith("RUNBOOK_LOCAL_")]:
        del os.environ[name]
    try:
        found_tools(print)
    except RunbookError as error:
        pytest.skip(f"no Prometheus: {error.seen}")
    folder = tmp_path_factory.mktemp("chain")
    stack.up(folder, Silence())
    try:
        made = Chain(folder)
        assert made.set_up().exit_code == 0
        yield made
    finally:
        stack.down(folder, Silence())
