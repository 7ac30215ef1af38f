"""What we make is ours alone, whatever the umask; what is another user's is refused by its name."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbook.console.defects import defect
from runbook.errors import RunbookError
from runbook.locks import target_lock
from runbook.private_paths import private_file, private_folder
from tests.damage import give_away


@pytest.fixture(params=[0, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:  # noqa: ARG001 - made before the umask
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> str:
    return stat.filemode(path.stat().st_mode)


@pytest.mark.posix("umask")
@pytest.mark.usefixtures("umask")
def test_the_umask_decides_nothing(tmp_path: Path) -> None:
    private_folder(tmp_path / "own")
    with private_file(tmp_path / "own" / "file", 0) as descriptor:
        os.write(descriptor, b"mine")

    assert mode(tmp_path / "own") == "drwx------"
    assert mode(tmp_path / "own" / "file") == "-rw-------"


@pytest.mark.posix("umask")
@pytest.mark.usefixtures("umask")
def test_locks_and_traces_are_no_exception(tmp_path: Path) -> None:
    """Also where they are the first that a command makes in the state directory."""
    with target_lock(tmp_path / "one", target="live"):
        pass
    defect(ValueError("x"), tmp_path / "two" / "defects")

    for folder in (tmp_path / "one", tmp_path / "two"):
        assert {mode(path) for path in (folder, *folder.rglob("*"))} == {"drwx------", "-rw-------"}


@pytest.mark.posix("rights")
@pytest.mark.parametrize(("before", "after"), [(0o777, 0o700), (0o550, 0o500), (0o700, 0o700), (0o500, 0o500)])
def test_rights_of_others_are_taken_and_none_are_given(tmp_path: Path, before: int, after: int) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    folder.chmod(before)

    private_folder(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == after


def test_a_folder_of_another_user_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".runbook"
    folder.mkdir(mode=0o755)
    give_away(folder, monkeypatch)
    before = folder.stat().st_mode

    refusals: tuple[Callable[[], object], ...] = (
        lambda: private_folder(folder),
        lambda: target_lock(folder, target="live").__enter__(),
    )
    for refused in refusals:
        with pytest.raises(RunbookError, match=r"^\.runbook belongs to .+, and this command runs as .+") as caught:
            refused()
        assert caught.value.where == str(folder)
        assert caught.value.fix.endswith(f" {folder}")
    assert folder.stat().st_mode == before
    assert list(folder.iterdir()) == []
