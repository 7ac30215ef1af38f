"""A run that begins: only its owner can read it, whatever the umask; nothing half begun is seen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.runs.new_run import begin_run
from runbook.runs.run_history import all_runs
from runbook.runs.run_log import RunLog
from tests.damage import rights


@pytest.fixture(params=[0, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:  # noqa: ARG001 - made before the umask
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.posix("umask")
@pytest.mark.usefixtures("umask")
def test_only_its_owner_can_read_what_is_made(tmp_path: Path) -> None:
    state_dir = tmp_path / ".runbook"
    run_log = begin_run(state_dir, task="setup", target="live")
    run_log.append("step", {})
    copy = run_log.back_up(tmp_path / "rules.yml", b"old")

    folders = dict.fromkeys([".runbook", "runs", run_log.run_id, "backups"], "drwx------")
    assert rights(state_dir) == folders | dict.fromkeys(["record.jsonl", "last", copy.name], "-rw-------")


@pytest.mark.posix("rights")
def test_wider_rights_of_ours_are_taken_back(tmp_path: Path) -> None:
    """As earlier versions and careless umasks left them."""
    state_dir = tmp_path / ".runbook"
    run_log = begin_run(state_dir, task="setup", target="live")
    run_log.back_up(tmp_path / "rules.yml", b"old")
    for path, mode in ((state_dir, 0o755), (state_dir / "runs", 0o777), (run_log.folder / "backups", 0o750)):
        path.chmod(mode)
    for name in ("record.jsonl", "last"):
        (run_log.folder / name).chmod(0o644)

    begin_run(state_dir, task="setup", target="live")
    run_log.back_up(tmp_path / "rules.yml", b"old")

    assert set(rights(state_dir).values()) == {"drwx------", "-rw-------"}


def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A file stands where the folder should be: said in three parts, not as a defect."""
    (tmp_path / "state").write_text("mine")

    with pytest.raises(RunbookError, match="Cannot write the run record"):
        begin_run(tmp_path / "state", task="setup", target="live")


def test_a_run_is_seen_with_its_beginning_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lists the runs while one begins meets no empty folder, and takes none for a damaged run."""
    seen: list[int] = []
    append = RunLog.append

    def watched(run_log: RunLog, kind: str, data: object) -> None:
        seen.append(len(all_runs(tmp_path)))
        append(run_log, kind, data)
        seen.append(len(all_runs(tmp_path)))

    monkeypatch.setattr(RunLog, "append", watched)
    begun = begin_run(tmp_path, task="setup", target="live")

    assert seen == [0, 0]
    assert [run_log.run_id for run_log in all_runs(tmp_path)] == [begun.run_id]


def test_a_run_that_could_not_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_run_log: RunLog, _kind: str, _data: object) -> None:
        raise RunbookError("full", where="here", fix="room")

    monkeypatch.setattr(RunLog, "append", full)
    with pytest.raises(RunbookError, match="full"):
        begin_run(tmp_path, task="setup", target="live")

    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.outside
def test_two_runs_of_one_moment_get_two_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = begin_run(tmp_path, task="setup", target="live")
    rename, taken = Path.rename, [begun.folder, begun.folder]

    def moved(path: Path, target: Path) -> Path:
        return rename(path, taken.pop() if taken else target)

    monkeypatch.setattr(Path, "rename", moved)
    second = begin_run(tmp_path, task="setup", target="live")

    assert taken == []
    assert {run_log.run_id for run_log in all_runs(tmp_path)} == {begun.run_id, second.run_id}
