"""What a command begins with: the log of its run, and no more old runs than the settings say."""

from pathlib import Path

import pytest

from runbook.commands.run_context import RunContext
from runbook.observer import NullObserver
from runbook.runs.new_run import begin_run
from runbook.runs.run_history import all_runs
from runbook.settings import SETTINGS_FILE, STATE_DIR


@pytest.fixture
def finished(tmp_path: Path) -> list[str]:
    """Return the ids of three finished runs on `live`."""
    run_logs = [begin_run(tmp_path / STATE_DIR, task="metrics", target="live") for _ in range(3)]
    for run_log in run_logs:
        run_log.append("result", {})
    return [run_log.run_id for run_log in run_logs]


def begun(folder: Path) -> str:
    return RunContext("verify", screen=NullObserver(), directory=folder).run_log.run_id


def kept(folder: Path) -> list[str]:
    return [run_log.run_id for run_log in all_runs(folder / STATE_DIR)]


def test_old_runs_make_room_as_the_settings_say(tmp_path: Path, finished: list[str]) -> None:
    (tmp_path / SETTINGS_FILE).write_text("[targets.live.runs]\nkeep = 2\n")

    assert kept(tmp_path) == finished
    new = begun(tmp_path)
    assert kept(tmp_path) == [finished[-1], new]


def test_settings_that_cannot_be_read_do_not_stop_a_run_from_beginning(tmp_path: Path, finished: list[str]) -> None:
    """What needs them says so, in the run that is recorded."""
    (tmp_path / SETTINGS_FILE).write_text("[targets.live.runs]\nkeep = 0\n")

    assert kept(tmp_path) == finished
    new = begun(tmp_path)
    assert kept(tmp_path) == [*finished, new]


def test_a_command_that_only_looks_removes_nothing(tmp_path: Path, finished: list[str]) -> None:
    (tmp_path / SETTINGS_FILE).write_text("[targets.live.runs]\nkeep = 1\n")

    assert RunContext("metrics", screen=NullObserver(), directory=tmp_path, is_recorded=False).run_log.run_id == ""
    assert kept(tmp_path) == finished
