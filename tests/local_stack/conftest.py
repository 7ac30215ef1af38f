"""Folders whose processes end with the test, and programs small enough to start in no time."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runbook.systems.processes.launcher import Launch, Launcher
from runbook.waiting import Pending, wait_until

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path / ".stack")
    yield launcher
    launcher.stop_strays(timeout_s=0)


@pytest.fixture
def until() -> Until:
    """Wait for a condition; fails after ten seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        def probe() -> bool | Pending:
            return condition() or Pending("not yet")

        wait_until(probe, what="the condition", deadline_s=10, where="test", fix="none", every_s=0.01)

    return wait


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Launch]:
    """Return the launch of a few lines of Python."""

    def launch(code: str, **options: Any) -> Launch:  # noqa: ANN401 - the fields of Launch
        return Launch(command=(sys.executable, "-u", "-S", "-c", code), directory=str(tmp_path), **options)

    return launch
