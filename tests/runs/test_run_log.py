"""The log of a run on a real disk: altered lines, half lines, readers beside the writer, and a full disk."""

import errno
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.errors import RunbookError
from runbook.model import Evidence, StepResult
from runbook.runs.new_run import begin_run
from runbook.runs.run_head import RunHead, write_head
from runbook.runs.run_history import open_run
from runbook.runs.run_log import RunLog, digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def run_log(tmp_path: Path) -> RunLog:
    return begin_run(tmp_path, task="setup", target="live")


def path_of(run_log: RunLog) -> Path:
    return run_log.folder / "record.jsonl"


def head_of(run_log: RunLog) -> Path:
    return run_log.folder / "last"


def reread(run_log: RunLog) -> RunLog:
    return open_run(run_log.folder.parents[1], run_log.run_id)


def test_what_was_kept_is_read_back_in_order(run_log: RunLog) -> None:
    step = StepResult(step="plan", number=1, outcome="ok", reason="fine", evidence=(Evidence(source="a", saw="b"),))
    run_log.append("step", step)
    run_log.append("created", {"id": 1, "at": datetime(2025, 11, 3, tzinfo=UTC)})

    found = reread(run_log).events()

    assert [event.kind for event in found] == ["begin", "step", "created"]
    assert found[0].data == {"task": "setup", "target": "live", "pid": os.getpid(), "format": 2}
    assert found[1].data["evidence"] == [{"source": "a", "saw": "b"}]
    assert found[2].data == {"id": 1, "at": "2025-11-03T00:00:00Z"}
    assert [event.data["id"] for event in reread(run_log).events("created")] == [1]


@given(data=st.dictionaries(st.text(), JSON, max_size=4))
@settings(max_examples=30, deadline=None)  # each one waits for the disk
def test_whatever_is_kept_is_read_back_and_holds(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    """Emoji, quotes, floats, a file name that is no UTF-8: the chain of hashes holds for all of them."""
    run_log = begin_run(tmp_path_factory.mktemp("state"), task="t", target="x")
    run_log.append("any", data | {"name": "caf\udce9"})
    run_log.append("numbers", {10: "ten", 2: "two"})

    assert reread(run_log).events("any")[0].data == json.loads(json.dumps(data | {"name": "caf\udce9"}))
    assert reread(run_log).events("numbers")[0].data == {"10": "ten", "2": "two"}


def test_half_a_line_that_a_crash_left_is_left_out_and_cut_off_by_the_next_one(run_log: RunLog) -> None:
    run_log.append("created", {"id": 1})
    whole, head = path_of(run_log).read_bytes(), head_of(run_log).read_bytes()
    run_log.append("created", {"id": 2})
    both = path_of(run_log).read_bytes()
    for length in range(len(whole), len(both)):
        path_of(run_log).write_bytes(both[:length])
        head_of(run_log).write_bytes(head)
        assert [event.data["id"] for event in reread(run_log).events("created")] == [1]
        reread(run_log).append("created", {"id": 3})
        assert [event.data["id"] for event in reread(run_log).events("created")] == [1, 3]


@pytest.mark.parametrize(
    "alter",
    [
        lambda lines: [lines[0], lines[1].replace(b'"failed"', b'"ok"'), *lines[2:]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [*lines[:2], lines[1], *lines[2:]],
        lambda lines: [*lines[:2], b"\n", *lines[2:]],
        lambda lines: [lines[0], b"[]\n", *lines[2:]],
        lambda lines: [lines[0], b"no JSON\n", *lines[2:]],
        lambda lines: [lines[0], b'{"kind": "step"}\n', *lines[2:]],
        lambda lines: [lines[0], b"[" * 100_000 + b"\n", *lines[2:]],
        lambda lines: [lines[0], b"1" * 100_000 + b"\n", *lines[2:]],
        lambda lines: [lines[0], b'{"data": {"n": ' + b"1" * 100_000 + b"}}\n", *lines[2:]],
        lambda lines: [lines[0], b'{"data": {}, "kind": "k", "at": 1e308}\n', *lines[2:]],
        lambda lines: [lines[0], b"\xff\n", *lines[2:]],
    ],
    ids=[
        "edited",
        "removed",
        "swapped",
        "repeated",
        "empty line",
        "a list",
        "no JSON",
        "no hash",
        "deep",
        "digits",
        "many digits",
        "no time",
        "no UTF-8",
    ],
)
def test_an_altered_record_is_refused_with_its_line(run_log: RunLog, alter: Any) -> None:  # noqa: ANN401 - a lambda
    run_log.append("step", {"outcome": "failed"})
    run_log.append("step", {"outcome": "ok, really"})
    run_log.append("result", {"exit_code": 1})
    lines = path_of(run_log).read_bytes().splitlines(keepends=True)
    path_of(run_log).write_bytes(b"".join(alter(lines)))

    with pytest.raises(RunbookError, match="altered") as caught:
        reread(run_log).events()

    assert caught.value.where.startswith(str(path_of(run_log)))
    assert caught.value.where.rpartition(":")[2] in {"2", "3"}
    assert "--run" in caught.value.fix


def test_reading_in_between_does_not_disturb_the_writer(run_log: RunLog) -> None:
    for number in range(5):
        run_log.append("created", {"id": number})
        assert len(run_log.events("created")) == number + 1
        assert len(reread(run_log).events("created")) == number + 1


def test_a_record_that_was_opened_can_go_on(run_log: RunLog) -> None:
    reread(run_log).append("note", {"by": "another process"})

    assert [event.kind for event in reread(run_log).events()] == ["begin", "note"]


def test_readers_beside_the_writer_see_whole_prefixes(run_log: RunLog) -> None:
    """A reader that comes at any moment sees events 0 to n, in order, never a hole and never half a line."""
    ended = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not ended.is_set():
            ids = [event.data["id"] for event in reread(run_log).events("created")]
            if ids != list(range(len(ids))):
                wrong.append(ids)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(200):
        run_log.append("created", {"id": number})
    ended.set()
    for reader in readers:
        reader.join()

    assert wrong == []
    assert len(reread(run_log).events("created")) == 200


FULL = """
import resource, sys
from pathlib import Path
from runbook.errors import RunbookError
from runbook.runs.new_run import begin_run
from runbook.runs.run_history import open_run
run_log = begin_run(Path(sys.argv[1]), task="traffic", target="live")
size = (run_log.folder / "record.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
try:
    run_log.append("created", {"id": 1, "label": "x" * 200})
except RunbookError as error:
    print(error.seen)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
run_log.append("result", {"exit_code": 1})
print([event.kind for event in open_run(Path(sys.argv[1]), run_log.run_id).events()])
"""


@pytest.mark.posix("limits of a process")
def test_a_full_disk_leaves_no_torn_line_in_the_middle(tmp_path: Path) -> None:
    """A limit of the kernel plays the full disk: the line that did not fit is gone, what follows it still holds."""
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)

    said, kinds = done.stdout.splitlines()
    assert said.startswith("Cannot write the run record:")
    assert kinds == "['begin', 'result']"


def test_a_head_that_cannot_be_written_takes_its_line_back(run_log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it or nothing: neither a line without its head, nor a head without its line."""
    run_log.append("created", {"id": 1})
    failing = iter([OSError(errno.ENOSPC, "No space left on device")])

    def write(folder: Path, head: RunHead, *, durable: bool) -> None:
        for error in failing:
            raise error
        write_head(folder, head, durable=durable)

    monkeypatch.setattr("runbook.runs.run_log.write_head", write)

    with pytest.raises(RunbookError, match="Cannot write the run record: No space left"):
        run_log.append("created", {"id": 2})
    assert [event.data["id"] for event in reread(run_log).events("created")] == [1]
    run_log.append("created", {"id": 3})
    assert [event.data["id"] for event in reread(run_log).events("created")] == [1, 3]


def test_backups_come_back_byte_by_byte(run_log: RunLog, tmp_path: Path) -> None:
    path, content = tmp_path / "dashboard.json", b"\xef\xbb\xbf{}\r\n"

    copy = run_log.back_up(path, content)

    assert copy.read_bytes() == content
    assert reread(run_log).backup(path, digest(content)) == content
    assert run_log.events("backup")[0].data["sha256"] == digest(content)


@pytest.mark.parametrize("harm", [Path.unlink, lambda copy: copy.write_bytes(b"other")], ids=["gone", "altered"])
def test_a_backup_that_is_not_the_one_is_refused(run_log: RunLog, tmp_path: Path, harm: Any) -> None:  # noqa: ANN401
    path = tmp_path / "dashboard.json"
    harm(run_log.back_up(path, b"old"))

    with pytest.raises(RunbookError, match="missing or was altered"):
        run_log.backup(path, digest(b"old"))
