"""One local stack for the tests that need the whole chain: up once, with panels and alert, down at the end."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook.clients.processes import ProcessRuntime
from runbook.clients.runtime import Runtime
from runbook.console import document, validate
from runbook.errors import RunbookError
from runbook.model import TaskResult
from runbook.observer import Observer, Silence
from runbook.record import begin_record
from runbook.settings import STACK_DIR, STATE_DIR, Target, load_target
from runbook.stack import stack
from runbook.stack.tools import found_tools
from runbook.steps.setup import SetupOptions, setup
from runbook.steps.traffic import TrafficOptions, traffic
from runbook.steps.verify import verify


@dataclass(frozen=True)
class Chain:
    """The whole chain in one folder; every result is checked against the schema of `--json`."""

    folder: Path

    @property
    def state_dir(self) -> Path:
        return self.folder / STATE_DIR

    @property
    def target(self) -> Target:
        return load_target("local", directory=self.folder)

    @property
    def runtime(self) -> ProcessRuntime:
        return ProcessRuntime(self.folder / STACK_DIR)

    def set_up(self) -> TaskResult:
        record = begin_record(self.state_dir, task="setup", target="local")
        return checked(
            setup(
                self.target,
                SetupOptions(timeout_s=30),
                runtime=self.runtime,
                state_dir=self.state_dir,
                record=record,
                observer=Silence(),
                confirm=lambda _: True,
            )
        )

    def send(
        self,
        *,
        leads: int = 3,
        jobs: int = 1,
        rate: float | None = None,
        target: Target | None = None,
        observer: Observer | None = None,
    ) -> TaskResult:
        record = begin_record(self.state_dir, task="traffic", target="local")
        options = TrafficOptions(leads=leads, jobs=jobs, rate=rate, timeout_s=30)
        return checked(
            traffic(
                target or self.target,
                options,
                state_dir=self.state_dir,
                record=record,
                observer=observer or Silence(),
            )
        )

    def verify(
        self,
        run_id: str | None = None,
        *,
        target: Target | None = None,
        runtime: Runtime | None = None,
        timeout_s: float = 30,
    ) -> TaskResult:
        return checked(
            verify(
                target or self.target,
                runtime=runtime or self.runtime,
                state_dir=self.state_dir,
                record=begin_record(self.state_dir, task="verify", target="local"),
                observer=Silence(),
                run_id=run_id,
                timeout_s=timeout_s,
            )
        )


def checked(result: TaskResult) -> TaskResult:
    validate(document(result))
    return result


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
