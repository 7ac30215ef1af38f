"""The locks between processes: of a target in one state directory, and of the files themselves from anywhere."""

import os
import platform
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from runbook import locks, platforms
from runbook.errors import LockedError, RunbookError
from runbook.locks import files_lock, target_lock
from runbook.platforms import account, is_root
from runbook.shell import show_process

HOLD = """
import os, sys
from pathlib import Path
from runbook.locks import files_lock, target_lock
paths, user = [Path(path) for path in sys.argv[2:-1]], int(sys.argv[-1])
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
with (files_lock(paths) if paths else target_lock(Path(sys.argv[1]), target="live")):
    print("held", flush=True)
    sys.stdin.read()
"""
UNLISTED = """
from pathlib import Path
from runbook import platforms
platforms.PROC = Path("/nowhere")
"""
NOBODY = (account("nobody") or (0,))[0]


@contextmanager
def holder(
    state_dir: Path, files: Sequence[Path] = (), *, user: int = 0, is_listed: bool = True
) -> Iterator[subprocess.Popen[str]]:
    """Have a process that holds the lock of `live`, or of files, until it is killed or the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD if is_listed else f"{UNLISTED}{HOLD}", str(state_dir), *map(str, files), str(user)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.communicate()


def is_free(state_dir: Path, target: str = "live") -> bool:
    try:
        with target_lock(state_dir, target=target):
            return True
    except LockedError:
        return False


def are_free(*paths: Path) -> bool:
    try:
        with files_lock(paths) as notes:
            assert notes == ()
            return True
    except LockedError:
        return False


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "dashboard.json", tmp_path / "rules.yml"
    for path in made:
        path.write_bytes(b"{}")
    return made


def test_a_lock_of_another_process_names_who_holds_it_and_since_when(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(LockedError) as caught, target_lock(tmp_path, target="live"):
            pass
        user = psutil.Process().username()
        assert f"target 'live': process {process.pid} of {user}, since " in caught.value.seen
        assert show_process(process.pid) in caught.value.fix
        assert caught.value.exit_code == 5
        assert is_free(tmp_path, target="local"), "the lock is the target's"
    assert is_free(tmp_path)


@pytest.mark.posix("symbolic links for everybody")
def test_a_file_is_held_against_every_directory_and_path(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """Another state directory, another order, a symbolic link: the lock is on the file itself."""
    link = tmp_path / "link.json"
    link.symlink_to(files[0])
    with holder(tmp_path, files) as process:
        for paths in (files, files[::-1], (link,)):
            with pytest.raises(LockedError) as caught, files_lock(paths):
                pass
            assert f"process {process.pid} of " in caught.value.seen
            assert caught.value.where == str(paths[0])
        assert are_free(tmp_path / "other"), "a file that is not there is its reader's business"
    assert are_free(*files)


@pytest.mark.posix("owners")
@pytest.mark.skipif(not is_root(), reason="needs root to become another user")
def test_a_file_that_another_user_holds(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """Reading it is enough to hold it, and whoever may read it is held off."""
    for place in (*files, tmp_path, *tmp_path.parents):
        if place.stat().st_mode & 0o005 != 0o005:
            place.chmod(place.stat().st_mode | 0o005)
    with holder(tmp_path, files, user=NOBODY), pytest.raises(LockedError, match="of nobody, since"), files_lock(files):
        pass


@pytest.mark.parametrize("held", ["target", "files"])
def test_a_killed_process_leaves_no_lock(tmp_path: Path, files: tuple[Path, Path], held: str) -> None:
    with holder(tmp_path, files if held == "files" else ()) as process:
        process.kill()
        process.wait()
        assert is_free(tmp_path)
        assert are_free(*files)


def test_an_error_inside_gives_both_locks_back(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with pytest.raises(ZeroDivisionError), target_lock(tmp_path, target="live"), files_lock(files):
        raise ZeroDivisionError

    assert is_free(tmp_path)
    assert are_free(*files)


def test_the_second_file_held_gives_the_first_one_back(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with holder(tmp_path, files[1:]), pytest.raises(LockedError), files_lock(files):
        pass
    with holder(tmp_path, files[1:]):
        assert are_free(files[0])


@pytest.mark.parametrize(
    "proc",
    [
        lambda _: {},
        lambda lock: {"locks": "gibberish\n", "4711/stat": lock},
        lambda lock: {"locks": lock.replace("PID", "0")},
        lambda lock: {"locks": lock.replace("PID", "4711")},
        lambda lock: {"locks": lock.replace("PID", "1").replace("00:00:", "99:99:")},
    ],
    ids=["no /proc", "other words", "a process outside this namespace", "ended meanwhile", "the inode of another disk"],
)
def test_a_holder_that_the_system_does_not_name(
    tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, proc: Callable[[str], dict[str, str]]
) -> None:
    """It is still a lock; nobody is named who might not hold it."""
    inode = files[0].stat().st_ino
    for name, content in proc(f"1: FLOCK  ADVISORY  WRITE PID 00:00:{inode} 0 EOF\n").items():
        (tmp_path / "proc" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc" / name).write_text(content)
    with ExitStack() as stack:
        stack.enter_context(files_lock(files))
        monkeypatch.setattr(platforms, "PROC", tmp_path / "proc")
        with pytest.raises(LockedError, match="a process that this system does not name"):
            stack.enter_context(files_lock(files))


@pytest.fixture
def unlisted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody lists locks on macOS and Windows."""
    monkeypatch.setattr(platforms, "PROC", tmp_path / "no proc")


@pytest.mark.usefixtures("unlisted")
def test_where_nobody_lists_locks_the_holder_of_a_target_notes_itself(tmp_path: Path) -> None:
    with holder(tmp_path, is_listed=False) as process:
        user = psutil.Process().username()
        with pytest.raises(LockedError, match=f"process {process.pid} of {re.escape(user)}, since "):
            target_lock(tmp_path, target="live").__enter__()
    assert is_free(tmp_path)
    (lock,) = tmp_path.glob("locks/*")
    assert lock.read_bytes() == b"", "who has ended is not named to whoever looks before the next one has noted itself"


@pytest.mark.usefixtures("unlisted")
def test_where_nobody_lists_locks_a_killed_holder_is_not_named(tmp_path: Path) -> None:
    """Its note stays. The next one has the lock, and has not noted itself yet."""
    with holder(tmp_path, is_listed=False) as process:
        process.kill()
        process.wait()
        (lock,) = tmp_path.glob("locks/*")
        assert lock.read_text().startswith(f"{process.pid} ")
    descriptor = platforms.opened(lock, os.O_RDWR)
    assert platforms.try_lock(descriptor)
    with pytest.raises(LockedError, match="a process that this system does not name"):
        target_lock(tmp_path, target="live").__enter__()
    os.close(descriptor)
    assert is_free(tmp_path)


@pytest.mark.usefixtures("unlisted")
@pytest.mark.parametrize(
    ("note", "is_named"),
    [
        ("{pid} {now} {machine}", True),
        ("{pid} 1000000000.0 {machine}", False),
        ("{pid} {now} another-machine", False),
        ("{pid} {now}", False),
        ("-1 {now} {machine}", False),
        ("\0\xff", False),
        ("9" * 400, False),
    ],
    ids=["ours", "before it began", "another machine's", "half written", "no process", "no text", "digits"],
)
def test_only_a_note_that_fits_a_process_names_it(tmp_path: Path, note: str, is_named: bool) -> None:
    """An id is given out again, also to a process that began after the lock was taken, and on another machine."""
    lock = tmp_path / "live.lock"
    written = note.format(pid=os.getpid(), now=time.time(), machine=platform.node())
    lock.write_text(written, encoding="latin-1")

    assert locks.holder(lock) == (os.getpid() if is_named else None)


def test_a_file_by_two_names_is_held_once(tmp_path: Path, files: tuple[Path, Path]) -> None:
    link = tmp_path / "link.json"
    link.hardlink_to(files[0])
    with files_lock((files[0], link)) as notes:
        assert notes == ()


@pytest.mark.parametrize(
    ("words", "task"),
    [
        (["/usr/bin/python3", "/opt/bin/crm-runbook", "stack.up", "--real"], "inv stack.up, "),
        (["python3", "/opt/bin/inv", "setup"], "inv setup, "),
        (["sleep", "six"], ""),
        (["vim", "inv", "--yes"], ""),
    ],
    ids=" ".join,
)
def test_only_our_own_program_is_told_by_its_task(words: list[str], task: str) -> None:
    assert locks._task(words) == task  # noqa: SLF001 - its words are part of a message


def test_a_target_on_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("runbook.locks.try_lock", no_locks)
    with pytest.raises(RunbookError, match="No locks available"), target_lock(tmp_path, target="live"):
        pass


def test_a_file_system_without_locks_is_said(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("runbook.locks.try_lock", no_locks)
    with files_lock(files) as notes:
        said = "this file system keeps no locks (No locks available); let no other run work on it"
        assert notes == tuple(f"{path}: {said}" for path in files)


def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file stands where the folder should be")

    with (
        pytest.raises(RunbookError, match="The lock of target 'live' cannot be taken"),
        target_lock(tmp_path / "state", target="live"),
    ):
        pass


def modes(state_dir: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in (state_dir, state_dir / "locks", *state_dir.glob("locks/*"))]


@pytest.mark.posix("umask")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_a_lock_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with target_lock(tmp_path / "state", target="live"):
            pass
    finally:
        os.umask(before)
    assert modes(tmp_path / "state") == [0o700, 0o700, 0o600]


@pytest.mark.posix("rights")
def test_wider_rights_on_our_own_locks_are_taken_away(tmp_path: Path) -> None:
    assert is_free(tmp_path)
    for path in (tmp_path, tmp_path / "locks", *tmp_path.glob("locks/*")):
        path.chmod(0o777)
    assert is_free(tmp_path)
    assert modes(tmp_path) == [0o700, 0o700, 0o600]


@pytest.mark.posix("owners")
@pytest.mark.skipif(not is_root(), reason="needs root to give something to another user")
@pytest.mark.parametrize("theirs", [".", "locks"])
def test_a_state_directory_of_another_user_is_refused_by_name(tmp_path: Path, theirs: str) -> None:
    """What we would put there is theirs to replace."""
    assert is_free(tmp_path / "state")
    os.chown(tmp_path / "state" / theirs, NOBODY, -1)
    with (
        pytest.raises(RunbookError, match="belongs to nobody, and this command runs as root"),
        target_lock(tmp_path / "state", target="live"),
    ):
        pass


@pytest.mark.posix("symbolic links for everybody")
def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    assert is_free(tmp_path)
    (lock,) = tmp_path.glob("locks/*")
    lock.unlink()
    elsewhere = tmp_path / "elsewhere"
    lock.symlink_to(elsewhere)
    with pytest.raises(RunbookError, match="cannot be taken"), target_lock(tmp_path, target="live"):
        pass
    assert not elsewhere.exists()
