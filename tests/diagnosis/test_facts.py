"""What is read of earlier runs: the last setup that wrote, and the last traffic."""

from pathlib import Path

import pytest

from runbook.diagnosis.checks.gateway import last_traffic, newest_traffic
from runbook.diagnosis.facts import Facts
from runbook.runs.new_run import begin_run
from runbook.runs.run_log import REPLACES
from runbook.settings import Target
from runbook.systems.processes.client import ProcessRuntime
from tests.damage import without_its_end

TARGET = Target.from_tables("live", {}, source="test")


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return Facts(TARGET, ProcessRuntime(tmp_path), state_dir=tmp_path)


def test_without_runs_there_is_nothing_to_roll_back_and_no_traffic(facts: Facts) -> None:
    assert (facts.last_setup(), last_traffic(facts)) == (None, None)


def test_the_last_setup_is_the_one_that_wrote_on_this_target(facts: Facts) -> None:
    """One that found nothing to do, a rollback, and one on another installation leave nothing to roll back."""
    wrote = begin_run(facts.state_dir, task="setup", target="live")
    wrote.append(REPLACES, {"file": "rules.yml"})
    begin_run(facts.state_dir, task="setup", target="live").append("plan", {})
    begin_run(facts.state_dir, task="rollback", target="live").append(REPLACES, {"file": "rules.yml"})
    begin_run(facts.state_dir, task="setup", target="other").append(REPLACES, {"file": "rules.yml"})

    assert facts.last_setup() == wrote.run_id


def test_the_last_traffic_is_that_of_this_target(facts: Facts) -> None:
    run_log = begin_run(facts.state_dir, task="traffic", target="live")
    run_log.append("traffic", {"leads": 1})
    begin_run(facts.state_dir, task="traffic", target="other").append("traffic", {})

    found = last_traffic(facts)

    assert found is not None
    assert (found[0], [event.kind for event in found[1]]) == (run_log.run_id, ["begin", "traffic"])


def test_a_damaged_run_is_passed_over_and_kept_to_be_named(facts: Facts) -> None:
    run_log, damaged = (begin_run(facts.state_dir, task="traffic", target="live") for _ in range(2))
    for one in (run_log, damaged):
        one.append("traffic", {"leads": 1})
    without_its_end(damaged)
    (facts.state_dir / "runs" / ".DS_Store").write_text("mine")

    found = last_traffic(facts)

    assert found is not None
    assert found[0] == run_log.run_id
    assert [one.run_log.run_id for one in newest_traffic(facts).passed_over] == [damaged.run_id]
