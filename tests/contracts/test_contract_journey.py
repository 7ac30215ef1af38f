"""The runbook from setup to proof, with the real Kafka, Keycloak and PostgreSQL: nothing rests on a stand-in's mood."""

from pathlib import Path

import pytest
import requests

from runbook.commands.run.options import RunOptions
from runbook.commands.run.result import RunResult
from runbook.commands.run.steps import run_all
from runbook.commands.run_context import RunContext
from runbook.commands.troubleshoot.options import TroubleshootOptions
from runbook.commands.troubleshoot.result import TroubleshootResult
from runbook.commands.troubleshoot.steps import troubleshoot
from runbook.errors import ExitCode
from runbook.local_stack import stack
from runbook.observer import NullObserver
from runbook.settings import LOCAL, load_target
from tests.contracts.contract_parts import HTTP_TIMEOUT_S

pytestmark = [pytest.mark.real, pytest.mark.stack, pytest.mark.xdist_group("real parts")]


def test_every_lead_is_proven_from_the_api_to_the_panel(real_stack: Path) -> None:
    """Setup, traffic and verify: all five criteria, all seven entities through every hop, and nothing broken then."""
    proven = _run(real_stack)

    assert proven.exit_code == ExitCode.OK
    assert [criterion.outcome for criterion in proven.criteria or ()] == ["ok"] * 5
    assert proven.ledger is not None
    assert (proven.ledger.proven, len(proven.ledger.rows)) == (7, 7)
    assert _verdict(real_stack) == ("healthy", "")
    assert _journalled(real_stack, 7) == ["apexflow.jobs.created"] * 2 + ["apexflow.leads.created"] * 5


@pytest.mark.parametrize(
    ("name", "hop"), [("apexflow-db", "database"), ("kafka", "kafka"), ("keycloak", "keycloak")], ids=lambda text: text
)
def test_a_real_part_that_was_killed_is_named_and_comes_back(real_stack: Path, name: str, hop: str) -> None:
    """Killed without a warning: it is the fault, alone; `stack.up` brings it back with its data, and all is well."""
    stack.stop_service(real_stack, name, kill=True)
    assert _verdict(real_stack) == ("fault", "CTR_EXITED")
    assert _broken(real_stack) == [hop]
    stack.up(real_stack, NullObserver())
    assert _run(real_stack).exit_code == ExitCode.OK


def _run(directory: Path) -> RunResult:
    context = RunContext("run", screen=NullObserver(), target=LOCAL, directory=directory)
    return run_all(context, RunOptions(leads=5, jobs=2, timeout_s=60))


def _journalled(directory: Path, count: int) -> list[str]:
    """Return the topics of the newest events that the sink keeps in PostgreSQL."""
    address = load_target(LOCAL, directory=directory).sink.http_url
    rows = requests.get(f"{address}/events/latest", params={"limit": count}, timeout=HTTP_TIMEOUT_S).json()
    return sorted(row["topic"] for row in rows)


def _broken(directory: Path) -> list[str]:
    return [check.hop for check in _troubleshot(directory).checks or () if check.status == "broken"]


def _troubleshot(directory: Path) -> TroubleshootResult:
    context = RunContext("troubleshoot", screen=NullObserver(), target=LOCAL, directory=directory)
    return troubleshoot(context, TroubleshootOptions())


def _verdict(directory: Path) -> tuple[str, str]:
    result = _troubleshot(directory)
    assert result.verdict is not None
    assert not result.also
    return result.verdict.outcome, result.verdict.code
