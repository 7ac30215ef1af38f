"""The whole chain of a local stack, as the tests of the steps drive it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.setup.steps import setup
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.traffic.result import TrafficResult
from runbook.commands.traffic.steps import traffic
from runbook.commands.verify.options import VerifyOptions
from runbook.commands.verify.result import VerifyResult
from runbook.commands.verify.steps import verify
from runbook.console import document
from runbook.model import CommandResult
from runbook.observer import NullObserver, Observer
from runbook.settings import STACK_DIR, STATE_DIR, Target, load_target
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.runtime import Runtime
from tests.schema import validate

R = TypeVar("R", bound=CommandResult)


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

    def set_up(self) -> SetupResult:
        return checked(setup(self._context("setup"), SetupOptions(timeout_s=30)))

    def send(
        self,
        *,
        leads: int = 3,
        jobs: int = 1,
        rate: float | None = None,
        target: Target | None = None,
        observer: Observer | None = None,
    ) -> TrafficResult:
        options = TrafficOptions(leads=leads, jobs=jobs, rate=rate, timeout_s=30)
        return checked(traffic(self._context("traffic", target=target, observer=observer), options))

    def verify(
        self,
        run_id: str | None = None,
        *,
        target: Target | None = None,
        runtime: Runtime | None = None,
        observer: Observer | None = None,
        timeout_s: float = 30,
        passive: bool = False,
        since_s: int | None = None,
    ) -> VerifyResult:
        context = self._context("verify", target=target, runtime=runtime, observer=observer)
        options = VerifyOptions(run_id=run_id, timeout_s=timeout_s, passive=passive, since_s=since_s)
        return checked(verify(context, options))

    def _context(
        self,
        command: str,
        *,
        target: Target | None = None,
        observer: Observer | None = None,
        runtime: Runtime | None = None,
    ) -> RunContext:
        return RunContext(
            command,
            screen=observer or NullObserver(),
            target=target or self.target,
            directory=self.folder,
            runtime=runtime or self.runtime,
        )


def checked(result: R) -> R:
    validate(document(result))
    return result
