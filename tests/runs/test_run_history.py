"""Which run is chosen: what is no run is not looked at, a damaged one is named, and stops only a rollback."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from runbook.errors import RunbookError, UsageError
from runbook.runs.new_run import begin_run
from runbook.runs.run_history import NewestRun, all_runs, holds, newest_change, newest_run, open_run, write_outcome
from runbook.runs.run_log import RunEvent, RunLog
from tests.damage import DAMAGES, altered, give_away, without_its_beginning, without_its_end

Damage = Callable[[RunLog], None]


def begin(state_dir: Path, task: str = "traffic", target: str = "live") -> RunLog:
    return begin_run(state_dir, task=task, target=target)


def traffic(state_dir: Path, target: str = "live") -> RunLog:
    run_log = begin(state_dir, target=target)
    run_log.append("traffic", {"mark": 1})
    run_log.append("result", {})
    return run_log


def setup(state_dir: Path, *steps: str, task: str = "setup") -> RunLog:
    """Return a run that kept the old bytes of a file, announced its write, and went on with these outcomes."""
    run_log = begin(state_dir, task)
    run_log.append("plan", {"mark": 1})
    run_log.back_up(state_dir / "rules.yml", b"old")
    run_log.append("replaces", {"file": "rules.yml"})
    for outcome in steps:
        run_log.append("step", {"step": "write", "outcome": outcome})
    return run_log


def newest_traffic(state_dir: Path, target: str | None = "live") -> NewestRun:
    return newest_run(state_dir, holds("traffic"), target=target)


def test_ids_are_in_the_order_of_time(tmp_path: Path) -> None:
    """Also within one second: the newest run is never an older one."""
    begun = [begin(tmp_path).run_id for _ in range(50)]

    assert begun == sorted(set(begun))
    assert [run_log.run_id for run_log in all_runs(tmp_path)] == begun


def test_what_is_no_run_is_not_looked_at(tmp_path: Path) -> None:
    """A desktop's file, a note, a folder of somebody's: none of them is a run, or a damaged one."""
    begun = traffic(tmp_path)
    for name in (".DS_Store", "notes.txt", f"{begun.run_id}.bak", "99990101"):
        (tmp_path / "runs" / name).write_text("mine")
    (tmp_path / "runs" / "old").mkdir()
    (tmp_path / "runs" / f".begins-{begun.run_id}").mkdir()

    assert [run_log.run_id for run_log in all_runs(tmp_path)] == [begun.run_id]
    assert newest_traffic(tmp_path).passed_over == ()
    with pytest.raises(UsageError, match="no run 'old'"):
        open_run(tmp_path, "old")


def test_no_runs_yet(tmp_path: Path) -> None:
    assert all_runs(tmp_path) == ()
    assert newest_traffic(tmp_path).run_log is None


@pytest.mark.parametrize("run_id", ["20990101-000000-0000", "..", ".", "", "../locks", "/etc"])
def test_no_such_run(tmp_path: Path, run_id: str) -> None:
    begun = begin(tmp_path)

    with pytest.raises(UsageError) as caught:
        open_run(tmp_path, run_id)

    assert begun.run_id in caught.value.fix


def test_a_run_of_another_target_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    begun = begin(tmp_path)

    assert open_run(tmp_path, begun.run_id, target="live").run_id == begun.run_id
    with pytest.raises(UsageError, match="was on target 'live', not on 'local'"):
        open_run(tmp_path, begun.run_id, target="local")


def test_the_newest_run_that_fits(tmp_path: Path) -> None:
    begun = [traffic(tmp_path), traffic(tmp_path), begin(tmp_path), traffic(tmp_path, target="local")]

    found = newest_traffic(tmp_path)

    assert found.run_log is not None
    assert found.run_log.run_id == begun[1].run_id
    assert [event.kind for event in found.events] == ["begin", "traffic", "result"]
    assert newest_run(tmp_path, holds("replaces"), target="live").run_log is None
    anywhere = newest_traffic(tmp_path, target=None).run_log
    assert anywhere is not None
    assert anywhere.run_id == begun[3].run_id


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_run_is_passed_over_and_named(tmp_path: Path, damage: Damage) -> None:
    """The next older one is taken; one line says which was not, what is wrong with it, and where."""
    whole, damaged = traffic(tmp_path), traffic(tmp_path)
    damage(damaged)

    found = newest_traffic(tmp_path)

    assert found.run_log is not None
    assert found.run_log.run_id == whole.run_id
    (line,) = map(str, found.passed_over)
    assert line.startswith(f"Run {damaged.run_id} is damaged and was skipped: ")
    assert DAMAGES[damage] in line
    assert str(damaged.folder / "record.jsonl") in line


def test_a_file_named_as_a_run_is_a_damaged_one(tmp_path: Path) -> None:
    whole = traffic(tmp_path)
    (tmp_path / "runs" / "99991231-000000-ffff").write_text("mine")

    found = newest_traffic(tmp_path)

    assert found.run_log is not None
    assert found.run_log.run_id == whole.run_id
    seen = "does not hold the beginning" if sys.platform == "win32" else "cannot be read: Not a directory"
    assert seen in str(found.passed_over[0])


def test_a_run_of_another_user_is_passed_over_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, foreign = traffic(tmp_path), traffic(tmp_path)
    give_away(foreign.folder, monkeypatch)

    found = newest_traffic(tmp_path)

    assert found.run_log is not None
    assert found.run_log.run_id == whole.run_id
    assert f"{foreign.run_id} belongs to " in str(found.passed_over[0])
    with pytest.raises(RunbookError, match="belongs to") as caught:
        open_run(tmp_path, foreign.run_id).events()
    assert caught.value.where == str(foreign.folder)
    assert "chown" in caught.value.fix


@pytest.mark.parametrize("part", [".", "runs"])
def test_a_state_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Whoever can write there could hand us files to put back."""
    traffic(tmp_path)
    give_away(tmp_path / part, monkeypatch)

    for refused in (lambda: newest_traffic(tmp_path), lambda: begin(tmp_path)):
        with pytest.raises(RunbookError, match="belongs to") as caught:
            refused()
        assert caught.value.where == str(tmp_path / part)
        assert "chown" in caught.value.fix


def test_only_what_could_have_been_chosen_is_named(tmp_path: Path) -> None:
    """An older one and one on another target are of no interest; one whose beginning is lost may be any."""
    older, _, elsewhere, unknown = (traffic(tmp_path, target) for target in ("live", "live", "local", "local"))
    for run_log in (older, elsewhere):
        altered(run_log)
    without_its_beginning(unknown)

    found = newest_traffic(tmp_path)

    assert [damaged.run_log.run_id for damaged in found.passed_over] == [unknown.run_id]


def test_a_damaged_run_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    damaged = traffic(tmp_path)
    altered(damaged)

    with pytest.raises(RunbookError, match="altered") as caught:
        open_run(tmp_path, damaged.run_id, target="live").events()

    assert "--run" in caught.value.fix


def any_change(_events: Sequence[RunEvent]) -> bool:
    return True


def chosen(state_dir: Path) -> str:
    run_log = newest_change(state_dir, any_change, target="live").run_log
    return run_log.run_id if run_log else ""


def test_the_newest_change_is_one_that_stands(tmp_path: Path) -> None:
    """Not one that undid itself, and not a rollback; whether one that failed or was killed stands, the files tell."""
    written = setup(tmp_path, "changed", "ok")
    setup(tmp_path, "changed", "failed", "rolled_back")
    setup(tmp_path, "changed", task="rollback")
    traffic(tmp_path)
    assert chosen(tmp_path) == written.run_id

    for outcomes, told in ((["failed", "ok"], "failed"), ([], "")):
        unsure = setup(tmp_path, *outcomes)
        assert write_outcome(unsure.events()) == told
        assert chosen(tmp_path) == unsure.run_id
        found = newest_change(tmp_path, lambda events: write_outcome(events) == "changed", target="live").run_log
        assert found is not None
        assert found.run_id == written.run_id


@pytest.mark.parametrize("task", ["setup", "rollback"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_no_choice_over_a_damaged_run_that_may_have_written(tmp_path: Path, damage: Damage, task: str) -> None:
    """To put back what an older run changed could be wrong: the operator decides, and is told how."""
    older, damaged = setup(tmp_path, "changed"), setup(tmp_path, "changed", task=task)
    damage(damaged)

    with pytest.raises(RunbookError, match=f"Run {damaged.run_id} may have changed the files last") as caught:
        newest_change(tmp_path, any_change, target="live")

    assert caught.value.where.startswith(str(damaged.folder))
    assert str(damaged.folder / "backups") in caught.value.fix
    assert f"rollback --run {older.run_id}" in caught.value.fix


def test_a_damaged_setup_alone_names_its_copies(tmp_path: Path) -> None:
    damaged = setup(tmp_path, "changed")
    without_its_end(damaged)

    with pytest.raises(RunbookError) as caught:
        newest_change(tmp_path, any_change, target="live")

    assert str(damaged.folder / "backups") in caught.value.fix
    assert "--run" not in caught.value.fix


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_run_that_wrote_no_file_is_passed_over_by_a_rollback(tmp_path: Path, damage: Damage) -> None:
    """It kept no old bytes, and so has written none."""
    written, damaged = setup(tmp_path, "changed"), traffic(tmp_path)
    damage(damaged)

    found = newest_change(tmp_path, any_change, target="live")

    assert found.run_log is not None
    assert found.run_log.run_id == written.run_id
    assert [one.run_log.run_id for one in found.passed_over] == [damaged.run_id]


def test_a_setup_that_was_damaged_before_the_newest_one_is_of_no_interest(tmp_path: Path) -> None:
    altered(setup(tmp_path, "changed"))
    newest = setup(tmp_path, "changed")

    assert chosen(tmp_path) == newest.run_id
