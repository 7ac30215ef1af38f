"""What is read of earlier runs: the last setup that wrote, and the last traffic."""

from pathlib import Path

import pytest

from runbook.commands.apply.replacing import REPLACES
from runbook.diagnosis.checks.gateway import last_traffic
from runbook.diagnosis.facts import Facts
from runbook.runs.run_log import begin_run
from runbook.settings import Target
from runbook.systems.processes.client import ProcessRuntime

TARGET = Target.from_tables("live", {}, source="test")


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return Facts(TARGET, ProcessRuntime(tmp_path), state_dir=tmp_path)


def test_without_runs_there_is_nothing_to_roll_back_and_no_traffic(facts: Facts) -> None:
    assert (facts.last_setup(), last_traffic(facts)) == (None, None)


def test_the_last_setup_is_the_one_that_wrote_on_this_target(facts: Facts) -> None:
    """One that found nothing to do, and one on another installation, leave nothing to roll back."""
    wrote = begin_run(facts.state_dir, task="setup", target="live")
    wrote.append(REPLACES, {"file": "rules.yml"})
    begin_run(facts.state_dir, task="setup", target="live").append("plan", {})
    begin_run(facts.state_dir, task="setup", target="other").append(REPLACES, {"file": "rules.yml"})

    assert facts.last_setup() == wrote.run_id


def test_the_last_traffic_is_that_of_this_target(facts: Facts) -> None:
    run_log = begin_run(facts.state_dir, task="traffic", target="live")
    run_log.append("traffic", {"leads": 1})
    begin_run(facts.state_dir, task="traffic", target="other").append("traffic", {})

    found = last_traffic(facts)

    assert found is not None
    assert (found[0], [event.kind for event in found[1]]) == (run_log.run_id, ["begin", "traffic"])
