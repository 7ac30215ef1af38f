"""Rollback: every byte back, proven served again; nobody's later change is lost unasked."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from runbook.commands.apply import steps
from runbook.errors import DocumentError
from runbook.files.file_change import FileChange
from runbook.runs.new_run import begin_run
from runbook.runs.run_history import all_runs, open_run
from runbook.runs.run_log import RunLog, digest
from tests.commands.setups import Watcher, contents, files, killed_while_writing, outcomes, roll_back, set_up, state_of
from tests.cut_off import cut_off
from tests.damage import without_its_end, without_its_record
from tests.installation import Installation


def test_rollback_brings_back_every_byte(installed: Installation) -> None:
    before = contents(installed)
    set_up(installed)
    installed.restarted = []

    result = roll_back(installed)

    assert (result.outcome, result.exit_code) == ("changed", 0)
    assert contents(installed) == before
    assert (installed.restarted, installed.reloaded_times) == (["grafana"], 2)
    assert outcomes(result)["grafana serves the old state"] == "ok"
    assert outcomes(result)["prometheus serves the old state"] == "ok"
    again = roll_back(installed)
    assert (again.outcome, again.diff) == ("unchanged", "")


def test_rollback_after_a_crash_in_the_middle_of_setup(installed: Installation) -> None:
    """The record tells of a write before it is made: a first file that was written alone can be put back."""
    before = contents(installed)
    set_up(installed, restart=False)
    installed.rules.write_bytes(before[1])

    assert roll_back(installed).exit_code == 0
    assert contents(installed) == before


def test_rollback_puts_right_what_a_kill_left(installed: Installation) -> None:
    before = contents(installed)
    killed_while_writing(installed)

    assert roll_back(installed).exit_code == 0
    assert contents(installed) == before


def test_rollback_refuses_what_somebody_changed_since_and_shows_who_changed_what(installed: Installation) -> None:
    run = set_up(installed).run_id
    installed.rules.write_bytes(installed.rules.read_bytes() + b"# mine\n")
    before, installed.restarted = files(installed), []

    result = roll_back(installed)

    assert (result.exit_code, files(installed), installed.restarted) == (1, before, [])
    assert result.problem is not None
    assert "1 file was changed by somebody" in result.problem.seen
    assert result.problem.where == str(installed.rules)
    assert f"--run {run} --force" in result.problem.fix
    diff = result.diff or ""
    assert "changed by somebody after that run; --force would lose this\n-# mine\n" in diff
    assert "changed by that run: a rollback takes it back\n" in diff
    assert "-      - alert: CrmEventsSinkDown\n" in diff


def test_forced_rollback_gives_up_what_somebody_changed_and_keeps_a_copy(installed: Installation) -> None:
    before = contents(installed)
    set_up(installed)
    theirs = installed.rules.read_bytes().replace(b"for: 2m", b"for: 9m") + b"# mine\n"
    installed.rules.write_bytes(theirs)
    installed.read_rules()

    result = roll_back(installed, force=True)

    assert (result.exit_code, contents(installed)) == (0, before)
    assert outcomes(result)["prometheus serves the old state"] == "ok"
    record = open_run(state_of(installed), result.run_id or "")
    assert record.backup(installed.rules, digest(theirs)) == theirs
    assert roll_back(installed, result.run_id).exit_code == 0
    assert installed.rules.read_bytes() == theirs, "a rollback can be rolled back"


def test_forced_rollback_of_a_file_that_is_broken_by_now(installed: Installation) -> None:
    """When it is needed most: nobody can read what stands there."""
    before = contents(installed)
    set_up(installed)
    installed.rules.write_bytes(b"groups: [\n")
    installed.dashboard.write_bytes(b"{")

    assert roll_back(installed, force=True).exit_code == 0
    assert contents(installed) == before


def test_rollback_of_an_older_run(installed: Installation) -> None:
    """What a later setup wrote counts as somebody's change: the diff tells the two apart, --force takes both back."""
    before = contents(installed)
    older = set_up(installed).run_id
    set_up(installed, with_absent_alert=True)
    between = files(installed)

    refused = roll_back(installed, older)
    assert (refused.exit_code, files(installed)) == (1, between)
    assert "-      - alert: CrmEventsSinkAbsent\n" in (refused.diff or "")

    assert roll_back(installed, older, force=True).exit_code == 0
    assert contents(installed) == before


def test_rollback_of_a_run_on_another_target_is_refused(installed: Installation) -> None:
    record = begin_run(state_of(installed), task="setup", target="other")
    record.append("replaces", {"file": str(installed.rules), "before": "0", "after": "1"})
    before = files(installed)

    result = roll_back(installed, run_id=record.run_id)

    assert (result.exit_code, files(installed)) == (4, before)


def test_rollback_without_any_setup(installed: Installation) -> None:
    result = roll_back(installed)

    assert result.exit_code == 1
    assert "has written anything" in result.problem.seen if result.problem else False


def test_rollback_that_may_not_restart_is_refused_before_it_writes(installed: Installation) -> None:
    set_up(installed)
    before = files(installed)
    installed.forbids = {"prometheus"}

    result = roll_back(installed)

    assert (result.exit_code, files(installed)) == (1, before)
    assert "nothing was written" in result.problem.seen if result.problem else False


def test_rollback_of_a_file_that_is_gone_names_the_copy(installed: Installation) -> None:
    run = set_up(installed).run_id
    installed.rules.unlink()

    result = roll_back(installed, force=True)

    assert result.exit_code == 1
    assert result.problem is not None
    assert (result.problem.where, "not there any more" in result.problem.seen) == (str(installed.rules), True)
    assert f"{run}/backups" in result.problem.fix


def test_a_record_without_the_written_bytes_shows_the_difference_alone(installed: Installation) -> None:
    """As records of earlier versions are."""
    before = contents(installed)
    set_up(installed)
    (record,) = (one for one in all_runs(state_of(installed)) if one.task == "setup")
    written = installed.rules.read_bytes()
    for copy in (record.folder / "backups").iterdir():
        if copy.read_bytes() == written:
            copy.unlink()
    installed.rules.write_bytes(written + b"# mine\n")

    assert "-# mine\n" in (roll_back(installed).diff or "")
    assert roll_back(installed, force=True).exit_code == 0
    assert contents(installed) == before


def test_rollback_passes_over_a_setup_that_undid_itself(installed: Installation) -> None:
    before = contents(installed)
    set_up(installed)
    installed.prometheus_is_deaf = True
    assert set_up(installed, with_absent_alert=True).exit_code == 6
    installed.prometheus_is_deaf = False

    assert roll_back(installed).outcome == "changed"
    assert contents(installed) == before


class Killed(BaseException):
    """Nothing of the command goes on."""


def test_rollback_passes_over_a_setup_that_was_killed_and_undone(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rollback itself puts right what the kill left, and then takes back the setup before it."""
    before = contents(installed)
    set_up(installed, restart=False)
    between = contents(installed)

    def killed(changes: Sequence[FileChange], *, journal: Path) -> NoReturn:
        cut_off(changes, journal, *(one.before + one.after[len(one.before) : -7] for one in changes))
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(steps, "write_documents", killed)
        with pytest.raises(Killed):
            set_up(installed, restart=False, with_absent_alert=True)
    assert contents(installed)[1] != between[1]

    result = roll_back(installed, restart=False)

    assert outcomes(result)["unfinished write"] == "changed"
    assert result.outcome == "changed"
    assert contents(installed) == before


def test_each_rollback_takes_back_the_setup_before(installed: Installation) -> None:
    before = contents(installed)
    set_up(installed)
    between = contents(installed)
    set_up(installed, with_absent_alert=True)

    assert roll_back(installed).outcome == "changed"
    assert contents(installed) == between
    assert roll_back(installed).outcome == "changed"
    assert contents(installed) == before
    third = roll_back(installed)
    assert (third.outcome, third.exit_code) == ("unchanged", 0)
    assert third.steps[-1].reason == "every change of the files on target small is undone already"


def test_a_rollback_to_an_older_run_undoes_the_ones_behind_it(installed: Installation) -> None:
    before = contents(installed)
    older = set_up(installed).run_id
    set_up(installed, with_absent_alert=True)
    assert roll_back(installed, older, force=True).exit_code == 0

    assert roll_back(installed).outcome == "unchanged"
    assert contents(installed) == before


def test_a_setup_whose_rollback_was_rolled_back_stands_again(installed: Installation) -> None:
    before = contents(installed)
    set_up(installed)
    undone = roll_back(installed).run_id
    assert roll_back(installed, undone).outcome == "changed"

    assert roll_back(installed).outcome == "changed"
    assert contents(installed) == before


def test_files_only(installed: Installation) -> None:
    """For GitOps: what was put there without the services goes back without them."""
    before = contents(installed)
    set_up(installed, restart=False)
    installed.missing = {"grafana", "prometheus"}

    assert roll_back(installed).exit_code == 1
    assert roll_back(installed, restart=False).exit_code == 0
    assert contents(installed) == before


def test_who_reads_a_file_is_recorded_not_guessed(installed: Installation) -> None:
    odd = installed.dashboard.with_name("dashboard.live")
    installed.dashboard.rename(odd)
    installed.dashboard.symlink_to(odd)
    before = contents(installed)
    set_up(installed, dashboard=odd)
    installed.restarted = []

    assert roll_back(installed).exit_code == 0
    assert (contents(installed), installed.restarted) == (before, ["grafana"])


def test_rollback_passes_over_a_setup_that_could_not_write(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It announced its write, and left every file as it was: the setup before it is the one to put back."""
    before = contents(installed)
    set_up(installed)

    def full(*_: object, **__: object) -> NoReturn:
        raise DocumentError("No space left on device", where="rules", fix="make room")

    monkeypatch.setattr("runbook.commands.apply.steps.write_documents", full)
    assert set_up(installed, with_absent_alert=True).exit_code == 1
    monkeypatch.undo()

    assert roll_back(installed).outcome == "changed"
    assert contents(installed) == before


def announced(installed: Installation, run_log: RunLog) -> None:
    """Leave what a kill right before a write leaves in the log: the files as they are, and what was to come."""
    for path in (installed.dashboard, installed.rules):
        now = path.read_bytes()
        run_log.back_up(path, now)
        run_log.append("replaces", {"file": str(path), "before": digest(now), "after": digest(now + b" ")})


def test_rollback_passes_over_a_killed_setup_that_left_nothing(installed: Installation) -> None:
    before = contents(installed)
    set_up(installed)
    announced(installed, begin_run(state_of(installed), task="setup", target="small"))

    assert roll_back(installed).outcome == "changed"
    assert contents(installed) == before


def test_rollback_passes_over_what_is_no_run_or_damaged_and_names_it(installed: Installation) -> None:
    before = contents(installed)
    set_up(installed)
    damaged = begin_run(state_of(installed), task="traffic", target="small")
    without_its_record(damaged)
    (state_of(installed) / "runs" / ".DS_Store").write_text("mine")
    watcher = Watcher()

    result = roll_back(installed, watcher=watcher)

    assert (result.exit_code, contents(installed)) == (0, before)
    (named,) = [note for note in watcher.notes if "skipped" in note]
    assert damaged.run_id in named
    assert str(damaged.folder / "record.jsonl") in named


def test_rollback_does_not_choose_over_a_damaged_setup(installed: Installation) -> None:
    """It may have changed the files last: nothing is touched, and the operator is told what to decide."""
    before = contents(installed)
    older = set_up(installed).run_id
    damaged = begin_run(state_of(installed), task="setup", target="small")
    announced(installed, damaged)
    without_its_end(damaged)
    now, installed.restarted = files(installed), []

    result = roll_back(installed)

    assert (result.exit_code, files(installed), installed.restarted) == (1, now, [])
    assert result.problem is not None
    assert f"Run {damaged.run_id} may have changed the files last" in result.problem.seen
    assert str(damaged.folder / "record.jsonl") in result.problem.where
    assert f"rollback --run {older}" in result.problem.fix
    assert roll_back(installed, damaged.run_id).exit_code == 1
    assert roll_back(installed, older).exit_code == 0
    assert contents(installed) == before
