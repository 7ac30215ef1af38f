"""What stands around the faults: nothing named without one, fixes that work, mending that says what it did."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runbook.commands.stack import fault_steps as commands
from runbook.commands.stack.options import BreakOptions, MendOptions
from runbook.commands.troubleshoot.options import TroubleshootOptions
from runbook.commands.troubleshoot.steps import troubleshoot
from runbook.diagnosis.catalogue import CHECKS
from runbook.errors import ExitCode
from runbook.local_stack import stack
from runbook.local_stack.fault_injection import Injection, break_stack, inject_fault, mend_stack
from runbook.local_stack.fault_injector import FaultInjector
from runbook.observer import NullObserver
from runbook.runs.new_run import begin_run
from runbook.settings import LOCAL, STACK_DIR, STATE_DIR
from tests.damage import without_its_end
from tests.faults.fault_stack import FORMS, SHIPPED, Installation, named

pytestmark = pytest.mark.stack

_LOUD = 'ts=2025-11-03T19:48:51.465Z level=error msg="Error on notify" err="connection refused to mail.example"\n'


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


class Watcher(NullObserver):
    """Keeps the notes for the operator."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def says(self, text: str) -> None:
        self.notes.append(text)


def test_a_damaged_run_makes_nothing_inconclusive_and_is_named(ready: Installation) -> None:
    """The traffic before it is looked at; a file that does not belong among the runs is not."""
    damaged = begin_run(ready.directory / STATE_DIR, task="traffic", target=LOCAL)
    damaged.append("traffic", {"leads": 1, "jobs": 0, "rate": None})
    without_its_end(damaged)
    (ready.directory / STATE_DIR / "runs" / ".DS_Store").write_text("mine")
    watcher = Watcher()

    result = ready.troubleshoot(screen=watcher)
    shutil.rmtree(damaged.folder)

    assert named(result) == ("healthy", "", [])
    (note,) = watcher.notes
    assert note.startswith(f"Run {damaged.run_id} is damaged and was skipped: The end of the run record is missing")
    assert str(damaged.folder) in note


@pytest.mark.parametrize(
    "inject",
    [
        pytest.param(SHIPPED["CTR_PAUSED"], id="frozen"),
        pytest.param(FORMS["F_DOWN"], id="runs and is not reached"),
        pytest.param(SHIPPED["S_METRICS_DOWN"], id="runs with a wrong port"),
        pytest.param(SHIPPED["M_SILENCED"], id="silenced"),
        pytest.param(SHIPPED["GW_UPSTREAM"], id="asks at a wrong address"),
        pytest.param(SHIPPED["KC_DOWN"], id="runs and answers nobody"),
    ],
)
def test_the_printed_fix_works_in_the_state_that_was_seen(ready: Installation, inject: Injection) -> None:
    """Typed as it is printed, without `stack.mend`: the stack is healthy again, and nothing of it was lost."""
    inject_fault(ready.directory, inject)
    verdict = ready.troubleshoot().verdict
    assert verdict is not None

    ready.type(verdict.fix)

    assert ready.healthy().exit_code == ExitCode.OK
    ready.mend()


@pytest.mark.parametrize("way", ["correct it", "give it up"])
def test_the_printed_fix_works_for_a_rules_file_that_somebody_has_edited(ready: Installation, way: str) -> None:
    """A rollback without --force would be refused; both ways that are named end with a healthy stack."""
    rules = ready.target.files.rules
    assert rules is not None
    good = rules.read_bytes()
    inject_fault(ready.directory, SHIPPED["R_INVALID"])
    verdict = ready.troubleshoot().verdict
    assert verdict is not None
    by_hand, _, given_up = verdict.fix.partition("; or, to give up what was changed since run ")

    if way == "correct it":
        rules.write_bytes(good)
        ready.type(by_hand)
    else:
        ready.type(given_up.partition(": ")[2])

    assert ready.healthy().exit_code == ExitCode.OK
    assert rules.read_bytes() == good
    ready.mend()


def test_of_two_faults_the_first_along_the_flow_is_named(ready: Installation) -> None:
    """The other one is told beside it; mending undoes both."""
    break_stack(ready.directory, "M_SILENCED")
    break_stack(ready.directory, "GW_DOWN")
    assert named(ready.troubleshoot()) == ("fault", "GW_DOWN", ["M_SILENCED"])
    ready.mend()


def test_a_system_that_hangs_is_named_and_does_not_hang_us(ready: Installation) -> None:
    """A frozen process accepts connections and never answers: it is named, with the time-out or state as evidence.

    The others hang in `test_stopped_services.py`.
    """
    inject_fault(ready.directory, lambda injector: injector.freeze("prometheus"))
    assert named(ready.troubleshoot()) == ("fault", "CTR_PAUSED", [])
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


def test_an_injected_fault_outlives_the_command(ready: Installation) -> None:
    """What was done is on the disk: a later command mends what an earlier one broke."""
    break_stack(ready.directory, "P_NO_JOB")
    later = FaultInjector(ready.directory, ready.target).injected
    assert [fault.what for fault in later.every] == ["changed prometheus.yml"]
    assert mend_stack(ready.directory, NullObserver()).undone == ("changed prometheus.yml",)
    ready.mend()


def test_breaking_and_mending_say_whether_anything_changed(ready: Installation) -> None:
    """A healthy stack is left as it is, and both commands say so; what somebody else ended is started."""
    assert mend(ready) == ("unchanged", "no fault was injected, and every service runs")

    assert broken_by_command(ready, "A_IDLE") == "unchanged"
    assert mend(ready)[0] == "unchanged"

    assert broken_by_command(ready, "M_DOWN") == "changed"
    assert mend(ready) == (
        "changed",
        "undone: replaced alertmanager by a program that opens no port; started alertmanager",
    )
    assert mend(ready)[0] == "unchanged"

    stack.stop_service(ready.directory, "alertmanager")
    assert mend(ready) == ("changed", "started alertmanager")


def mend(ready: Installation) -> tuple[str, str]:
    result = commands.mend_stack(ready.context("stack.mend"), MendOptions())
    assert result.exit_code == ExitCode.OK
    return result.outcome, result.steps[-1].reason


def broken_by_command(ready: Installation, code: str) -> str:
    result = commands.break_stack(ready.context("stack.break"), BreakOptions(code=code))
    assert result.exit_code == ExitCode.OK
    return result.outcome


def test_a_probe_exercises_every_boundary(ready: Installation) -> None:
    """One lead and one job, created for it and followed."""
    options = TroubleshootOptions(probe=True, strict=True)

    result = troubleshoot(ready.context("troubleshoot"), options)

    assert named(result) == ("healthy", "", [])
    assert result.exit_code == 0
    assert result.verdict is not None
    assert result.verdict.not_exercised == ()
    told = {check.code: check.evidence for check in result.checks or () if check.code.startswith("LOSS_")}
    assert (
        {"1 in, 1 out"} == {one.saw for one in told["LOSS_API_KAFKA"]} == {one.saw for one in told["LOSS_KAFKA_SINK"]}
    )
