"""A record that lost its end is recognised; whatever a kill leaves is none."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.runs.new_run import begin_run
from runbook.runs.run_head import RunHead, read_head
from runbook.runs.run_history import all_runs
from runbook.runs.run_log import RunLog

RECORDED = Path(__file__).parent / "recorded" / "20261127-204117-938c"


@pytest.fixture
def run_log(tmp_path: Path) -> RunLog:
    made = begin_run(tmp_path, task="setup", target="live")
    for number in range(4):
        made.append("step", {"number": number})
    return made


def shorten(folder: Path, lines: int) -> None:
    """Take the last lines away, and nothing else."""
    path = folder / "record.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-lines]))


@pytest.mark.parametrize("lines", [1, 2, 4])
def test_missing_last_lines_are_said(run_log: RunLog, lines: int) -> None:
    shorten(run_log.folder, lines)

    with pytest.raises(RunbookError, match=f"The end of the run record is missing: {5 - lines} of 5 lines") as caught:
        RunLog(run_log.folder).events()

    assert caught.value.where == str(run_log.folder / "record.jsonl")


def test_a_missing_half_line_is_said(run_log: RunLog) -> None:
    """The head tells it from the half line that a kill leaves: that line had been whole."""
    path = run_log.folder / "record.jsonl"
    path.write_bytes(path.read_bytes()[:-7])

    with pytest.raises(RunbookError, match="4 of 5 lines"):
        RunLog(run_log.folder).events()


def test_without_a_head_nobody_would_know(tmp_path: Path) -> None:
    """What the head is for: a record of an earlier version has none, and is whole for all that can be told."""
    folder = tmp_path / RECORDED.name
    shutil.copytree(RECORDED, folder)
    shorten(folder, 2)

    assert len(RunLog(folder).events("created")) == 2


@pytest.mark.parametrize("content", [None, b"", b"12", b"000000000005 " + b"0" * 64 + b" 00000000\n", b"\xff" * 86])
def test_a_head_that_is_gone_or_damaged_is_said(run_log: RunLog, content: bytes | None) -> None:
    head = run_log.folder / "last"
    head.unlink() if content is None else head.write_bytes(content)

    with pytest.raises(RunbookError, match="complete is not known") as caught:
        RunLog(run_log.folder).events()

    assert caught.value.where == str(head)


def test_another_record_under_the_head_is_said(run_log: RunLog, tmp_path: Path) -> None:
    """Whole in itself and long enough, and yet not the one that was written here."""
    other = begin_run(tmp_path, task="setup", target="live")
    for number in range(6):
        other.append("step", {"number": number})
    shutil.copy(other.folder / "record.jsonl", run_log.folder)

    with pytest.raises(RunbookError, match="altered") as caught:
        RunLog(run_log.folder).events()

    assert caught.value.where.endswith("record.jsonl:5")


def test_half_a_head_leaves_the_one_before(run_log: RunLog) -> None:
    """For a reader beside the writer, and after a kill within the write: the record is one line ahead, and whole."""
    head = run_log.folder / "last"
    before = head.read_bytes()
    run_log.append("step", {"number": 4})
    after, size = head.read_bytes(), len(before) // 2
    for length in range(size):
        head.write_bytes(after[:length] + before[length:])
        assert len(RunLog(run_log.folder).events()) == 6
        found = read_head(run_log.folder)
        assert found is not None
        assert found.lines in {5, 6}


def test_a_head_that_could_not_be_written_whole_is_none(run_log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk took a part of it: its line is taken back, and the head before it counts."""
    write, size = os.write, (run_log.folder / "last").stat().st_size // 2
    monkeypatch.setattr(os, "write", lambda where, data: write(where, data[:40] if len(data) == size else data))
    with pytest.raises(RunbookError, match="Cannot write the run record: No space left"):
        run_log.append("step", {"number": 4})
    monkeypatch.undo()

    assert len(RunLog(run_log.folder).events()) == 5


WRITER = """
import os, signal, sys
from pathlib import Path
from runbook.runs import run_log as module
from runbook.runs.new_run import begin_run

begun = begin_run(Path(sys.argv[1]), task="traffic", target="live")
kill, write_head = int(sys.argv[2]), module.write_head

def write(folder, head, *, durable):
    if head.lines == kill:
        os.kill(os.getpid(), signal.SIGKILL)
    write_head(folder, head, durable=durable)

def head_first(line, head, *, durable):
    write_head(begun.folder, head, durable=durable)
    if head.lines == kill:
        os.kill(os.getpid(), signal.SIGKILL)
    return append_line(line, head, durable=durable)

module.write_head = write
if sys.argv[3] == "head first":
    append_line, begun._append_line = begun._append_line, head_first
number = 0
while True:
    number += 1
    begun.append("created", {"id": number})
    print(number, flush=True)
"""


def writer(state_dir: Path, *, kill: int, order: str = "line first") -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(state_dir), str(kill), order]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_a_kill_between_line_and_head_leaves_a_whole_record(tmp_path: Path) -> None:
    """The line is there, its head is not: the record is longer than its head says, and goes on."""
    with writer(tmp_path, kill=5) as process:
        process.wait()
    (left,) = all_runs(tmp_path)

    assert [event.data["id"] for event in left.events("created")] == [1, 2, 3, 4]
    assert read_head(left.folder) == RunHead(lines=4, hash=hashes(left)[3])
    left.append("created", {"id": 9})
    assert [event.data["id"] for event in RunLog(left.folder).events("created")] == [1, 2, 3, 4, 9]


def test_the_other_order_would_not_do(tmp_path: Path) -> None:
    """The broken variant: a head that is written first is ahead of its record after such a kill."""
    with writer(tmp_path, kill=5, order="head first") as process:
        process.wait()
    (left,) = all_runs(tmp_path)

    with pytest.raises(RunbookError, match="4 of 5 lines"):
        left.events()


@pytest.mark.parametrize("seen", [1, 7, 60])
def test_a_kill_at_any_moment_loses_no_event_that_was_written(tmp_path: Path, seen: int) -> None:
    """Wherever it strikes: what append has returned from is there, in order, and the record is whole."""
    with writer(tmp_path, kill=0) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == seen:
                break
        process.kill()
        rest = process.stdout.read().splitlines()
    (left,) = all_runs(tmp_path)
    ids = [event.data["id"] for event in left.events("created")]

    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) >= max([seen, *(int(line) for line in rest)])


def hashes(run_log: RunLog) -> list[str]:
    return [json.loads(line)["hash"] for line in (run_log.folder / "record.jsonl").read_bytes().splitlines()]
