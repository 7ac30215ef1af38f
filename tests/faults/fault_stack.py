"""One local stack with the commands that an operator has, and the faults that are injected into it."""

import os
import signal
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from pathlib import Path

import psutil
import pytest
import requests

from runbook.commands.rollback.options import RollbackOptions
from runbook.commands.rollback.steps import rollback
from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.setup.steps import setup
from runbook.commands.silence.options import UnsilenceOptions
from runbook.commands.silence.steps import unsilence
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.traffic.result import TrafficResult
from runbook.commands.traffic.steps import traffic
from runbook.commands.troubleshoot.options import TroubleshootOptions
from runbook.commands.troubleshoot.result import TroubleshootResult
from runbook.commands.troubleshoot.steps import troubleshoot
from runbook.errors import ExitCode
from runbook.local_stack import stack
from runbook.local_stack.fault_injection import Injection, codes, inject_fault, injection, mend_stack
from runbook.observer import NullObserver, Observer
from runbook.settings import LOCAL, Target, load_target
from runbook.waiting import Pending, wait_until


@dataclass(frozen=True)
class Installation:
    """One local stack with the commands that an operator has."""

    directory: Path

    @property
    def target(self) -> Target:
        return load_target(LOCAL, directory=self.directory)

    def context(self, command: str, screen: Observer | None = None) -> RunContext:
        return RunContext(command, screen=screen or NullObserver(), target=LOCAL, directory=self.directory)

    def troubleshoot(self, hop: str | None = None, *, screen: Observer | None = None) -> TroubleshootResult:
        return troubleshoot(self.context("troubleshoot", screen), TroubleshootOptions(hop=hop))

    def set_up(self) -> SetupResult:
        return setup(self.context("setup"), SetupOptions())

    def send(self, leads: int) -> TrafficResult:
        return traffic(self.context("traffic"), TrafficOptions(leads=leads))

    def mend(self) -> TroubleshootResult:
        """Mend, and wait until it is healthy again."""
        mend_stack(self.directory, NullObserver())
        return self.healthy()

    def type(self, fix: str) -> None:
        """Type what a fix prints, one command after the other; what is told in words is done by the stack's plan."""
        for step in fix.partition("; ")[0].split(", then "):
            match step.split():
                case ["kill", "-CONT", pid]:
                    os.kill(int(pid), signal.SIGCONT)
                case ["kill", pid]:
                    os.kill(int(pid), signal.SIGTERM)
                    wait_until_gone(int(pid))
                case [_, "stack.up"]:
                    stack.up(self.directory, NullObserver())
                case [_, "unsilence", "--silence", silence]:
                    unsilence(self.context("unsilence"), UnsilenceOptions(silence_id=silence))
                case ["curl", "-X", "POST", url]:
                    assert requests.post(url, timeout=10).status_code == HTTPStatus.OK
                case ["correct", *_]:
                    pass
                case [_, "setup", *_]:
                    assert self.set_up().exit_code == ExitCode.OK
                case [_, "rollback", *words]:
                    options = RollbackOptions(
                        run_id=words[words.index("--run") + 1], force="--force" in words, yes=True
                    )
                    assert rollback(self.context("rollback"), options).exit_code == ExitCode.OK
                case _:
                    pytest.fail(f"no command: {step}")

    def healthy(self) -> TroubleshootResult:
        """Wait until it is healthy, and return how that was seen."""

        def healthy() -> TroubleshootResult | Pending:
            result = self.troubleshoot()
            return result if result.outcome == "healthy" else Pending(str(result.verdict))

        return wait_until(healthy, what="a healthy stack", deadline_s=30, where="the stack", fix="none", every_s=0.5)


def wait_until_gone(pid: int) -> None:
    def gone() -> bool | Pending:
        return not psutil.pid_exists(pid) or Pending(f"{pid} runs")

    wait_until(gone, what="the end", deadline_s=15, where="the process", fix="none")


def named(result: TroubleshootResult) -> tuple[str, str, list[str]]:
    assert result.verdict is not None
    return result.verdict.outcome, result.verdict.code, [fault.code for fault in result.also or ()]


def form(code: str) -> Injection:
    """Return the tests' own way to inject a fault: `forms/CODE.py`, of the same shape as the files that ship."""
    inject: Injection = import_module(f"tests.faults.forms.{code}").inject
    return inject


SHIPPED = {code: injection(code) for code in codes() if code != "A_IDLE"}
FORMS = {path.stem: form(path.stem) for path in sorted((Path(__file__).parent / "forms").glob("*.py"))}


def is_named_alone_and_mended(installation: Installation, code: str, inject: Injection) -> None:
    """Assert that the fault is the verdict, with evidence and a fix and no second diagnosis; mended, it is healthy."""
    inject_fault(installation.directory, inject)
    result = installation.troubleshoot()
    assert named(result) == ("fault", code, []), (result.verdict, result.also)
    assert result.exit_code == ExitCode.PROBLEM
    assert result.verdict is not None
    assert result.verdict.evidence
    assert result.verdict.fix
    assert installation.mend().exit_code == ExitCode.OK
