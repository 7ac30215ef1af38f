"""One local stack of real parts for all contracts: Kafka, Keycloak and PostgreSQL start once."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.local_stack import stack
from runbook.local_stack.real import REAL, found_programs
from runbook.local_stack.tools import found_tools
from runbook.observer import NullObserver


@pytest.fixture(scope="session")
def real_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the working directory of a stack whose Kafka, Keycloak and PostgreSQL are the real programs."""
    try:
        found_tools(print)
        found_programs(REAL, print)
    except RunbookError as error:
        if _must_have_them():
            raise
        pytest.skip(str(error))
    directory = tmp_path_factory.mktemp("real")
    stack.up(directory, NullObserver(), real=REAL)
    yield directory
    stack.down(directory, NullObserver())


def _must_have_them() -> bool:
    """The machine of .ci/run has Java, and root to install the rest: a skip there would be a check nobody made."""
    return os.environ.get("CI") == "true" and os.geteuid() == 0 and shutil.which("java") is not None
