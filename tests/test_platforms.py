"""What is asked of each system in its own way, met here on the system that runs the tests."""

import errno
import os
import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook import platforms

LINES = b"one\ntwo\r\n\x1athree"
"""What a descriptor that is opened for text would change: line ends, and Ctrl-Z."""


def descriptor(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    return platforms.opened(path, flags)


def test_bytes_are_written_and_read_as_they_are(tmp_path: Path) -> None:
    file = descriptor(tmp_path / "file")
    assert platforms.write_at(file, memoryview(LINES), 3) == len(LINES)
    assert platforms.write_at(file, memoryview(b"abc"), 0) == 3
    assert platforms.read_at(file, 100, 3) == LINES
    os.close(file)
    assert (tmp_path / "file").read_bytes() == b"abc" + LINES


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (os.O_RDWR, b"new bytes"),
        (os.O_WRONLY | os.O_CREAT, b"new bytes"),
        (os.O_WRONLY | os.O_TRUNC, b"new"),
        (os.O_WRONLY | os.O_CREAT | os.O_TRUNC, b"new"),
        (os.O_WRONLY | os.O_APPEND, b"old bytesnew"),
    ],
)
def test_a_file_that_is_there(tmp_path: Path, flags: int, left: bytes) -> None:
    (tmp_path / "file").write_bytes(b"old bytes")
    file = descriptor(tmp_path / "file", flags)
    os.write(file, b"new")
    os.close(file)
    assert (tmp_path / "file").read_bytes() == left


def test_refusals_are_those_of_every_system(tmp_path: Path) -> None:
    """By number and in English words: messages name them, and decisions are made on them."""
    (tmp_path / "file").touch()
    cases = {
        (tmp_path / "none", os.O_RDONLY): errno.ENOENT,
        (tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_EXCL): errno.EEXIST,
    }
    for (path, flags), number in cases.items():
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            descriptor(path, flags)
        assert (caught.value.errno, caught.value.filename) == (number, str(path))


def test_an_open_file_is_renamed_and_removed(tmp_path: Path) -> None:
    """As the journal does it; on Windows whoever opened the file must have allowed that."""
    file = descriptor(tmp_path / "begun")
    (tmp_path / "begun").rename(tmp_path / "whole")
    platforms.remove(tmp_path / "whole")
    assert not (tmp_path / "whole").exists()
    os.close(file)
    assert list(tmp_path.iterdir()) == []


LOCKED = """
import os, sys
from pathlib import Path
from runbook import platforms
print(platforms.try_lock(platforms.opened(Path(sys.argv[1]), os.O_RDWR)))
"""


def is_free_for_others(path: Path) -> bool:
    done = subprocess.run([sys.executable, "-c", LOCKED, str(path)], capture_output=True, check=True, timeout=60)
    return done.stdout.split() == [b"True"]


def test_a_lock_holds_off_other_processes_and_no_reader(tmp_path: Path) -> None:
    """A lock of Windows is mandatory: what it covers nobody else reads, so it covers nothing that is there."""
    (tmp_path / "file").write_bytes(LINES)
    file = descriptor(tmp_path / "file")
    assert platforms.try_lock(file)
    assert not is_free_for_others(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == LINES
    (tmp_path / "file").write_bytes(b"by an editor")
    os.close(file)
    assert is_free_for_others(tmp_path / "file")


def test_a_lock_of_a_folder_leaves_nothing_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    with platforms.folder_lock(folder):
        assert list(folder.iterdir()) == []
    platforms.sync_folder(folder)


def test_a_process_is_alive_until_it_has_ended_and_looking_does_not_end_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert platforms.is_alive(process.pid)
        assert platforms.is_alive(process.pid), "os.kill with 0 ends a process on Windows"
        process.communicate()
    assert not platforms.is_alive(2**22 + 1)


def test_two_programs_never_listen_at_one_address() -> None:
    with closing(socket.socket()) as first, closing(socket.socket()) as second:
        for listener in (first, second):
            platforms.claim_alone(listener)
        first.bind(("127.0.0.1", 0))
        first.listen()
        with pytest.raises(OSError):  # noqa: PT011 - another number on each system
            second.bind(first.getsockname())


@pytest.mark.parametrize(
    ("epoch_s", "expected"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-0.001, datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (1762199331.465, datetime(2025, 11, 3, 19, 48, 51, 465000, tzinfo=UTC)),
    ],
)
def test_a_time_is_the_same_everywhere(epoch_s: float, expected: datetime) -> None:
    assert platforms.utc(epoch_s) == expected


@pytest.mark.parametrize("epoch_s", [1e12, -1e12, 1e308, float("inf"), float("nan")])
def test_a_time_that_no_calendar_has(epoch_s: float) -> None:
    """Never OSError, as datetime.fromtimestamp raises on Windows."""
    with pytest.raises((ValueError, OverflowError)):
        platforms.utc(epoch_s)


def test_files_are_told_apart_by_64_bits_each() -> None:
    """ReFS numbers by 128 bits; the journal keeps 64."""
    found = os.stat_result((0, 2**127 + 5, 7, 1, 0, 0, 0, 0, 0, 0))
    other = os.stat_result((0, 2**126 + 5, 7, 1, 0, 0, 0, 0, 0, 0))
    small = os.stat_result((0, 42, 7, 1, 0, 0, 0, 0, 0, 0))
    assert platforms.identity(small) == (7, 42)
    assert platforms.identity(found) != platforms.identity(other)
    assert all(number < 2**64 for number in platforms.identity(found))
