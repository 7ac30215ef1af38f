"""The whole chain of a local stack, as the tests of the steps drive it."""

from dataclasses import dataclass
from pathlib import Path

from runbook.commands.setup.steps import SetupOptions, setup
from runbook.commands.traffic.steps import TrafficOptions, traffic
from runbook.commands.verify.steps import verify
from runbook.console import document, validate
from runbook.model import TaskResult
from runbook.observer import NullObserver, Observer
from runbook.runs.run_log import begin_run
from runbook.settings import STACK_DIR, STATE_DIR, Target, load_target
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.runtime import Runtime


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
        record = begin_run(self.state_dir, task="setup", target="local")
        return checked(
            setup(
                self.target,
                SetupOptions(timeout_s=30),
                runtime=self.runtime,
                state_dir=self.state_dir,
                record=record,
                observer=NullObserver(),
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
        record = begin_run(self.state_dir, task="traffic", target="local")
        options = TrafficOptions(leads=leads, jobs=jobs, rate=rate, timeout_s=30)
        return checked(
            traffic(
                target or self.target,
                options,
                state_dir=self.state_dir,
                record=record,
                observer=observer or NullObserver(),
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
                record=begin_run(self.state_dir, task="verify", target="local"),
                observer=NullObserver(),
                run_id=run_id,
                timeout_s=timeout_s,
            )
        )


def checked(result: TaskResult) -> TaskResult:
    validate(document(result))
    return result
