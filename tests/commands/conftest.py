"""Where the steps work: a small installation of their own, or one local stack for those that need the whole chain."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.local_stack import stack
from runbook.local_stack.tools import found_tools
from runbook.observer import NullObserver
from tests.commands.chain import Chain
from tests.installation import Installation, an_installation


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
    stack.up(folder, NullObserver())
    try:
        made = Chain(folder)
        assert made.set_up().exit_code == 0
        yield made
    finally:
        stack.down(folder, NullObserver())


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    """A small installation in the state before the runbook."""
    with an_installation(tmp_path) as made:
        yield made
