"""Each fault made for real in one local stack: named alone, mended, healthy again; and nothing named without one."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.setup.steps import setup
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.traffic.result import TrafficResult
from runbook.commands.traffic.steps import traffic
from runbook.commands.troubleshoot.options import TroubleshootOptions
from runbook.commands.troubleshoot.result import TroubleshootResult
from runbook.commands.troubleshoot.steps import troubleshoot
from runbook.diagnosis.catalogue import CHECKS
from runbook.errors import ExitCode, RunbookError, UsageError
from runbook.local_stack import stack
from runbook.local_stack.fault_injection import break_stack, mend_stack
from runbook.local_stack.fault_injector import Patient
from runbook.local_stack.injections import INJECTIONS
from runbook.local_stack.tools import found_tools
from runbook.observer import NullObserver
from runbook.settings import LOCAL, STACK_DIR, Target, load_target
from runbook.waiting import Pending, wait_until

pytestmark = pytest.mark.stack

_LOUD = 'ts=2025-11-03T19:48:51.465Z level=error msg="Error on notify" err="connection refused to mail.example"\n'


@dataclass(frozen=True)
class Installation:
    """One local stack with the commands that an operator has."""

    directory: Path

    @property
    def target(self) -> Target:
        return load_target(LOCAL, directory=self.directory)

    def context(self, command: str) -> RunContext:
        return RunContext(command, screen=NullObserver(), target=LOCAL, directory=self.directory)

    def troubleshoot(self, hop: str | None = None) -> TroubleshootResult:
        return troubleshoot(self.context("troubleshoot"), TroubleshootOptions(hop=hop))

    def set_up(self) -> SetupResult:
        return setup(self.context("setup"), SetupOptions())

    def send(self, leads: int) -> TrafficResult:
        return traffic(self.context("traffic"), TrafficOptions(leads=leads))

    def mend(self) -> TroubleshootResult:
        """Mend, and wait until it is healthy again."""
        mend_stack(self.directory, NullObserver())

        def healthy() -> TroubleshootResult | Pending:
            result = self.troubleshoot()
            return result if result.outcome == "healthy" else Pending(str(result.verdict))

        return wait_until(healthy, what="a healthy stack", deadline_s=30, where="the stack", fix="none", every_s=0.5)


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
def ready(installation: Installation) -> Installation:
    """The same stack with panels and alert."""
    assert installation.set_up().exit_code == ExitCode.OK
    return installation


def named(result: TroubleshootResult) -> tuple[str, str, list[str]]:
    assert result.verdict is not None
    return result.verdict.outcome, result.verdict.code, [fault.code for fault in result.also or ()]


def test_before_setup_no_fault_is_invented(installation: Installation) -> None:
    """Without panels and rule nothing is broken: setup was not applied, and that is what is said."""
    result = installation.troubleshoot()
    assert named(result) == ("inconclusive", "", [])
    assert result.exit_code == ExitCode.INCONCLUSIVE
    assert result.verdict is not None
    assert result.verdict.fix == "inv setup"


def test_idle_and_healthy_names_no_fault(ready: Installation) -> None:
    """A fresh stack without traffic: healthy, and A_IDLE explains the empty panels."""
    break_stack(ready.directory, "A_IDLE")
    result = ready.troubleshoot()
    assert named(result) == ("healthy", "A_IDLE", [])
    assert result.exit_code == ExitCode.OK
    assert len(result.checks or ()) == len(CHECKS)


@contextmanager
def steady_traffic(installation: Installation) -> Iterator[None]:
    """Leads without a pause, until the block ends."""
    ended = threading.Event()

    def send() -> None:
        while not ended.is_set():
            installation.send(leads=20)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()


def test_busy_and_healthy_names_nothing(ready: Installation) -> None:
    """While leads come all the time nothing is named, and nothing needs an explanation."""
    ready.send(leads=1)
    with steady_traffic(ready):
        assert named(ready.troubleshoot()) == ("healthy", "", [])


def test_a_loud_unrelated_error_names_nothing(ready: Installation) -> None:
    """An error in a log that has nothing to do with the flow is no diagnosis."""
    for part in ("prometheus", "alertmanager", "crm-events-sink", "grafana"):
        with (ready.directory / STACK_DIR / "logs" / f"{part}.log").open("a", encoding="utf-8") as log:
            log.write(_LOUD)
    assert named(ready.troubleshoot()) == ("healthy", "", [])


@pytest.mark.parametrize("code", [code for code in INJECTIONS if code != "A_IDLE"])
def test_a_fault_is_named_alone_and_mended(ready: Installation, code: str) -> None:
    """The first broken hop is the fault, with evidence and a fix; no second diagnosis; mended, it is healthy."""
    break_stack(ready.directory, code)
    result = ready.troubleshoot()
    assert named(result) == ("fault", code, [])
    assert result.exit_code == ExitCode.PROBLEM
    assert result.verdict is not None
    assert result.verdict.evidence
    assert result.verdict.fix
    assert ready.mend().exit_code == ExitCode.OK


def test_of_two_faults_the_first_along_the_flow_is_named(ready: Installation) -> None:
    """The other one is told beside it; mending undoes both."""
    break_stack(ready.directory, "M_SILENCED")
    break_stack(ready.directory, "GW_DOWN")
    assert named(ready.troubleshoot()) == ("fault", "GW_DOWN", ["M_SILENCED"])
    ready.mend()


@contextmanager
def frozen(installation: Installation, name: str) -> Iterator[None]:
    """A part that accepts connections and answers nothing."""
    pid = next(part.pid for part in stack.status(installation.directory) if part.name == name)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("keycloak", "KC_DOWN", id="keycloak"),
        pytest.param("prometheus", "P_DOWN", id="prometheus"),
        pytest.param("crm-events-sink", "CTR_PAUSED", id="sink"),
    ],
)
def test_a_system_that_hangs_is_named_and_does_not_hang_us(ready: Installation, name: str, code: str) -> None:
    """A frozen process accepts connections and never answers: it is named, with the time-out or state as evidence."""
    with frozen(ready, name):
        result = ready.troubleshoot()
    assert named(result) == ("fault", code, [])
    ready.mend()


def test_one_hop_is_looked_at_alone(ready: Installation) -> None:
    """A fault elsewhere is not looked for."""
    break_stack(ready.directory, "M_DOWN")
    assert named(ready.troubleshoot(hop="keycloak")) == ("healthy", "", [])
    assert named(ready.troubleshoot(hop="alertmanager")) == ("fault", "M_DOWN", [])
    assert ready.troubleshoot(hop="mainframe").exit_code == ExitCode.USAGE
    ready.mend()


def test_a_repaired_file_is_left_alone(ready: Installation) -> None:
    """Who repairs the rules file by hand keeps that: mending restores only what it finds as the fault left it."""
    rules = ready.target.files.rules
    assert rules is not None
    good = rules.read_bytes()
    break_stack(ready.directory, "R_INVALID")
    rules.write_bytes(good + b"# repaired by hand\n")
    ready.mend()
    assert rules.read_bytes() == good + b"# repaired by hand\n"
    rules.write_bytes(good)


@pytest.mark.parametrize(
    ("code", "target", "said"),
    [
        pytest.param("KC_DOWN", "live", "never in 'live'", id="another target"),
        pytest.param("DOCKER_DOWN", LOCAL, "CTR_EXITED, KC_DOWN", id="a fault that cannot be made"),
    ],
)
def test_breaking_is_refused(tmp_path: Path, code: str, target: str, said: str) -> None:
    """Nothing but the local stack is ever broken, and an unknown code lists the known ones."""
    with pytest.raises(UsageError, match=said):
        break_stack(tmp_path, code, target=target)


def test_without_a_stack_nothing_is_broken(tmp_path: Path) -> None:
    """The error names the command that starts one."""
    with pytest.raises(UsageError, match=r"inv stack\.up"):
        break_stack(tmp_path, "KC_DOWN")


def test_harm_outlives_the_command(ready: Installation) -> None:
    """What was done is on the disk: a later command mends what an earlier one broke."""
    break_stack(ready.directory, "P_NO_JOB")
    later = Patient(ready.directory, ready.target)
    assert later.heal() == ("changed prometheus.yml",)
    ready.mend()
