"""Files are written in place, whole or not at all, on real files and with real failures of the system."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runbook.errors import DocumentError
from runbook.files.file_io import LIMIT_BYTES, read_document, write_document
from runbook.platforms import is_root, our_id

BEFORE = b"0123456789" * 1000
LONGER = b"abcdefghij" * 1500
SHORTER = b"xyz" * 100


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dashboard.json"
    path.write_bytes(BEFORE)
    return path


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond a size: writing then fails in the middle, as on a full disk.

    Python ignores SIGXFSZ, so the system answers EFBIG after it has taken the bytes that fit.
    """
    import resource  # noqa: PLC0415 - Windows has none, and no test there comes here

    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("after", [LONGER, SHORTER, BEFORE[::-1], BEFORE, b""])
def test_same_inode_holds_the_new_bytes(file: Path, after: bytes) -> None:
    """A single-file bind mount follows the inode, so it must stay; an open reader sees the new bytes."""
    inode = file.stat().st_ino
    with file.open("rb") as reader:
        write_document(file, BEFORE, after)
        assert reader.read() == after
    assert file.stat().st_ino == inode
    assert read_document(file) == after


@pytest.mark.posix("owners")
def test_owner_stays(file: Path) -> None:
    if is_root():
        os.chown(file, 65534, 65534)
    owner = file.stat().st_uid, file.stat().st_gid

    write_document(file, BEFORE, LONGER)

    assert (file.stat().st_uid, file.stat().st_gid) == owner


@pytest.mark.posix("rights")
def test_mode_and_neighbours_stay(file: Path) -> None:
    """No temporary file is left beside it, and its permissions are as they were."""
    file.chmod(0o640)
    write_document(file, BEFORE, LONGER)
    assert [file.name] == [path.name for path in file.parent.iterdir()]
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.posix("symbolic links for everybody")
def test_symbolic_link_is_followed(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(file)
    write_document(link, BEFORE, LONGER)
    assert link.is_symlink()
    assert file.read_bytes() == LONGER


def test_foreign_change_is_never_overwritten(file: Path) -> None:
    """What somebody saved since the plan was made stays, and the operator is told."""
    file.write_bytes(b"somebody else's")
    with pytest.raises(DocumentError, match="changed by somebody else"):
        write_document(file, BEFORE, LONGER)
    assert file.read_bytes() == b"somebody else's"


@pytest.mark.posix("limits of a process")
@pytest.mark.parametrize("limit", [0, 1, 4096, len(BEFORE) - 1, len(BEFORE), len(BEFORE) + 1, len(LONGER) - 1])
@pytest.mark.parametrize("after", [LONGER, BEFORE[::-1]])
def test_failure_in_the_middle_puts_the_old_bytes_back(file: Path, limit: int, after: bytes) -> None:
    """Wherever the system stops taking bytes, the file is as it was, or the write was complete."""
    with largest_file(limit):
        if limit >= len(after):
            write_document(file, BEFORE, after)
        else:
            with pytest.raises(DocumentError, match="File too large; the file is as it was"):
                write_document(file, BEFORE, after)
    assert file.read_bytes() == (after if limit >= len(after) else BEFORE)


def naive_write(path: Path, _before: bytes, after: bytes) -> None:
    """The broken variant: truncate and write."""
    try:
        path.write_bytes(after)
    except OSError as error:
        raise DocumentError(str(error), where=str(path), fix="none") from None


@pytest.mark.posix("limits of a process")
def test_a_naive_write_loses_the_file(file: Path) -> None:
    """Negative control: the same failure destroys the file if it is written as usual."""
    with largest_file(4096), pytest.raises(DocumentError):
        naive_write(file, BEFORE, LONGER)
    assert file.read_bytes() != BEFORE


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anything, so root becomes somebody else for a while."""
    user = our_id()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.posix("users to become")
def test_read_only_file_is_refused_untouched() -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "dashboard.json"
        file.write_bytes(BEFORE)
        file.chmod(0o444)
        Path(folder).chmod(0o755)
        with as_nobody(), pytest.raises(DocumentError, match="Permission denied") as refused:
            write_document(file, BEFORE, LONGER)
        assert "write permission" in refused.value.fix
        assert file.read_bytes() == BEFORE


@pytest.mark.posix("ETXTBSY")
def test_a_file_in_use_as_a_program_is_refused_untouched(tmp_path: Path) -> None:
    """A refusal without advice of its own still says what was seen and that nothing was changed."""
    program = tmp_path / "sleep"
    shutil.copy(shutil.which("sleep") or "", program)
    before = program.read_bytes()
    with subprocess.Popen([program, "60"]) as running:
        with pytest.raises(DocumentError, match="Text file busy; the file is as it was"):
            write_document(program, before, b"x")
        running.kill()
    assert program.read_bytes() == before


def test_missing_file_names_the_option(tmp_path: Path) -> None:
    for action in (read_document, lambda path: write_document(path, b"", b"x")):
        with pytest.raises(DocumentError, match=r"No such file|not found|cannot find") as refused:
            action(tmp_path / "none.json")
        assert "--monitoring-dir" in refused.value.fix
    assert not (tmp_path / "none.json").exists()


def test_a_folder_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="not a regular file"):
        read_document(tmp_path)
    with pytest.raises(DocumentError, match=r"Is a directory|Permission denied"):
        write_document(tmp_path, b"", b"x")


@pytest.mark.posix("named pipes")
def test_a_pipe_is_no_document(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DocumentError, match="not a regular file"):
        read_document(tmp_path / "pipe")


def test_too_large_is_refused_unread(tmp_path: Path) -> None:
    """A sparse file: its size alone counts."""
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    with pytest.raises(DocumentError, match="bytes, more than"):
        read_document(path)
