"""Old runs go when there are too many or they are too old, and never one that a later command needs."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.runs.new_run import begin_run
from runbook.runs.retention import remove_old_runs
from runbook.runs.run_history import all_runs, holds, newest_change, newest_run, write_outcome
from runbook.settings import RunsSettings
from tests.damage import altered, give_away

NOW = datetime(2040, 1, 1, tzinfo=UTC)
"""Long after every event of these tests: no run counts as at work because it wrote lately."""

FIRST = datetime(2020, 1, 1, tzinfo=UTC)

NO_PROCESS = 2**22 + 1
"""More than Linux gives out as a process id (proc(5): pid_max)."""

SHAPES = ("looks", "traffic", "setup", "failed setup", "undone setup", "killed setup", "rollback", "damaged")


class Runs:
    """The runs of a test, each a day younger than the one before."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._days = 0

    def add(self, shape: str = "looks", *, target: str = "live", is_finished: bool = True) -> str:
        """Record a run and return its id."""
        task = shape if shape in {"traffic", "rollback"} else "setup"
        run_log = begin_run(self.state_dir, task=task, target=target)
        run_log.append("note", {"mark": 1})
        if shape == "traffic":
            run_log.append("traffic", {})
        if shape.endswith(("setup", "rollback")):
            run_log.append("replaces", {})
        outcomes = {"setup": ["changed"], "rollback": ["changed"], "failed setup": ["failed"]}
        for outcome in outcomes.get(shape, ["changed", "rolled_back"] if shape == "undone setup" else []):
            run_log.append("step", {"outcome": outcome})
        if is_finished:
            run_log.append("result", {})
        if shape == "damaged":
            altered(run_log)
        began = FIRST + timedelta(days=self._days)
        self._days += 1
        return run_log.folder.rename(self.state_dir / "runs" / f"{began:%Y%m%d-%H%M%S}-0000").name

    def remove(self, *, keep: int = 500, keep_days: float = 100_000, now: datetime = NOW, budget_s: float = 60) -> None:
        wanted = RunsSettings(keep=keep, keep_days=keep_days)
        remove_old_runs(self.state_dir, wanted, target="live", now=now, budget_s=budget_s)

    @property
    def ids(self) -> list[str]:
        return [run_log.run_id for run_log in all_runs(self.state_dir)]


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of these tests were made by processes that have ended."""
    monkeypatch.setattr("runbook.runs.new_run.os.getpid", lambda: NO_PROCESS)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_the_newest_are_kept(runs: Runs) -> None:
    begun = [runs.add() for _ in range(5)]

    runs.remove(keep=5)
    assert runs.ids == begun
    runs.remove(keep=2)
    assert runs.ids == begun[-2:]
    assert {path.name for path in (runs.state_dir / "runs").iterdir()} == set(runs.ids)


def test_those_of_an_age_are_kept(runs: Runs) -> None:
    begun = [runs.add() for _ in range(5)]

    runs.remove(keep_days=(NOW - FIRST).days - 2.5)

    assert runs.ids == begun[-2:]


def test_runs_of_other_targets_are_not_touched_and_not_counted(runs: Runs) -> None:
    others = [runs.add(target="local") for _ in range(3)]
    mine = [runs.add() for _ in range(3)]
    more = [runs.add(target="local")]

    runs.remove(keep=2)

    assert runs.ids == others + mine[-2:] + more


@pytest.mark.parametrize("shape", ["traffic", "setup", "killed setup", "damaged"])
def test_the_one_that_is_needed_is_kept_at_any_age(runs: Runs, shape: str) -> None:
    needed, _, newest = runs.add(shape), runs.add(), runs.add()

    runs.remove(keep=1)
    assert runs.ids == [needed, newest]
    runs.remove(keep_days=1)
    assert runs.ids == [needed]


@pytest.mark.parametrize("shape", ["looks", "failed setup", "undone setup", "rollback"])
def test_the_one_that_nobody_needs_goes(runs: Runs, shape: str) -> None:
    runs.add(shape)
    newest = runs.add()

    runs.remove(keep=1)

    assert runs.ids == [newest]


def test_a_newer_one_of_its_kind_takes_its_place(runs: Runs) -> None:
    for shape in ("traffic", "setup", "killed setup", "traffic", "setup"):
        newest = runs.add(shape)
    traffic = runs.ids[-2]

    runs.remove(keep=1)

    assert runs.ids == [traffic, newest]


def test_a_killed_setup_does_not_take_the_place_of_a_written_one(runs: Runs) -> None:
    """It may have written nothing: then the older one is what a rollback puts back."""
    begun = [runs.add("setup"), runs.add("killed setup"), runs.add()]

    runs.remove(keep=1)

    assert runs.ids == begun


def test_a_damaged_one_does_not_take_the_place_of_a_whole_one(runs: Runs) -> None:
    begun = [runs.add("traffic"), runs.add("traffic")]
    altered(all_runs(runs.state_dir)[-1])

    runs.remove(keep=1)

    assert runs.ids == begun


def test_a_run_at_work_is_kept(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is there; a finished run of the same process goes."""
    monkeypatch.undo()
    finished, at_work = runs.add(), runs.add(is_finished=False)
    newest = runs.add()

    runs.remove(keep=1)

    assert finished not in runs.ids
    assert runs.ids == [at_work, newest]


def test_a_run_that_wrote_lately_is_kept(runs: Runs) -> None:
    """A process in a container of its own cannot be seen from here."""
    unfinished = runs.add(is_finished=False)
    newest = runs.add()

    runs.remove(keep=1, now=datetime.now(UTC))
    assert runs.ids == [unfinished, newest]
    runs.remove(keep=1)
    assert runs.ids == [newest]


def test_a_run_of_another_user_is_kept(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = [runs.add(), runs.add(), runs.add()]
    give_away(runs.state_dir / "runs" / begun[0], monkeypatch)

    runs.remove(keep=1)

    assert runs.ids == [begun[0], begun[2]]


def test_no_time_no_removal(runs: Runs) -> None:
    begun = [runs.add() for _ in range(3)]

    runs.remove(keep=1, budget_s=0)

    assert runs.ids == begun


def test_a_removal_that_is_cut_off_leaves_no_half_run(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the renaming and the end: nobody meets the run any more, and the next command ends it."""
    begun = [runs.add(), runs.add()]
    monkeypatch.setattr(shutil, "rmtree", lambda *_args, **_options: None)
    runs.remove(keep=1)
    assert runs.ids == begun[1:]
    assert len(list((runs.state_dir / "runs").iterdir())) == 2

    monkeypatch.undo()
    runs.remove(keep=1)
    assert [path.name for path in (runs.state_dir / "runs").iterdir()] == begun[1:]


def test_what_never_began_goes_after_a_day(runs: Runs) -> None:
    kept = runs.add()
    (runs.state_dir / "runs" / ".begins-0123").mkdir()

    runs.remove(now=datetime.now(UTC))
    assert len(list((runs.state_dir / "runs").iterdir())) == 2
    runs.remove()
    assert [path.name for path in (runs.state_dir / "runs").iterdir()] == [kept]


def test_it_never_fails_a_command(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing there, another user's, a folder that cannot be renamed, a name that is no time."""
    runs.remove()
    begun = [runs.add(), runs.add(), runs.add()]
    (runs.state_dir / "runs" / "99999999-999999-ffff").mkdir()
    rename = Path.rename

    def refuse_the_first(path: Path, target: Path) -> Path:
        if path.name == begun[0]:
            raise PermissionError
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_first)
    runs.remove(keep=1, keep_days=10)
    assert runs.ids == [begun[0], "99999999-999999-ffff"]

    give_away(runs.state_dir, monkeypatch)
    runs.remove(keep=1, keep_days=10)


def choices(state_dir: Path) -> list[str | None]:
    """Return what verify, troubleshoot and rollback would take."""
    found = [
        newest_run(state_dir, holds("traffic"), target="live"),
        newest_change(state_dir, lambda events: write_outcome(events) != "failed", target="live"),
    ]
    return [one.run_log.run_id if one.run_log else None for one in found]


shapes = st.lists(st.sampled_from(SHAPES), min_size=1, max_size=8)


@given(made=shapes, keep=st.integers(1, 4))
@settings(max_examples=40, deadline=None)  # each run waits for the disk
def test_whatever_is_removed_every_command_chooses_as_before(
    tmp_path_factory: pytest.TempPathFactory, made: list[str], keep: int
) -> None:
    runs = Runs(tmp_path_factory.mktemp("state"))
    begun = [runs.add(shape) for shape in made]
    before = choices(runs.state_dir)

    runs.remove(keep=keep)

    assert choices(runs.state_dir) == before
    assert set(begun[-keep:]) <= set(runs.ids)
    assert {run_id for run_id, shape in zip(begun, made, strict=True) if shape == "damaged"} <= set(runs.ids)


def test_without_regard_to_what_is_needed_a_choice_changes(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken variant of the test above: count and age alone remove what verify and rollback need."""
    for shape in ("traffic", "setup", "looks"):
        runs.add(shape)
    before = choices(runs.state_dir)
    monkeypatch.setattr("runbook.runs.retention._Needed.holds", lambda _self, _run_log: False)

    runs.remove(keep=1)

    assert choices(runs.state_dir) != before
