"""The record on a real disk: torn and altered lines, readers beside the writer, and a full disk."""

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

from runbook.errors import RunbookError, UsageError
from runbook.model import Evidence, StepResult
from runbook.runs.run_log import RunLog, all_runs, begin_run, digest, last_run, open_run

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def record(tmp_path: Path) -> RunLog:
    return begin_run(tmp_path, task="setup", target="live")


def path_of(record: RunLog) -> Path:
    return record.folder / "record.jsonl"


def reread(record: RunLog) -> RunLog:
    return open_run(record.folder.parents[1], record.run_id)


def test_what_was_kept_is_read_back_in_order(record: RunLog) -> None:
    step = StepResult(step="plan", number=1, outcome="ok", reason="fine", evidence=(Evidence(source="a", saw="b"),))
    record.append("step", step)
    record.append("created", {"id": 1, "at": datetime(2025, 11, 3, tzinfo=UTC)})

    found = reread(record).events()

    assert [event.kind for event in found] == ["begin", "step", "created"]
    assert found[0].data == {"task": "setup", "target": "live", "pid": os.getpid()}
    assert found[1].data["evidence"] == [{"source": "a", "saw": "b"}]
    assert found[2].data == {"id": 1, "at": "2025-11-03T00:00:00Z"}
    assert [event.data["id"] for event in reread(record).events("created")] == [1]


@given(data=st.dictionaries(st.text(), JSON, max_size=4))
@settings(max_examples=30, deadline=None)  # each one waits for the disk
def test_whatever_is_kept_is_read_back_and_holds(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    """Emoji, quotes, floats, a file name that is no UTF-8: the chain of hashes holds for all of them."""
    record = begin_run(tmp_path_factory.mktemp("state"), task="t", target="x")
    record.append("any", data | {"name": "caf\udce9"})
    record.append("numbers", {10: "ten", 2: "two"})

    assert reread(record).events("any")[0].data == json.loads(json.dumps(data | {"name": "caf\udce9"}))
    assert reread(record).events("numbers")[0].data == {"10": "ten", "2": "two"}


def test_only_its_owner_can_read_it(record: RunLog) -> None:
    assert path_of(record).stat().st_mode & 0o077 == 0
    assert record.folder.stat().st_mode & 0o077 == 0


def test_a_last_line_that_a_crash_cut_off_is_left_out(record: RunLog) -> None:
    record.append("created", {"id": 1})
    whole = path_of(record).read_bytes()
    record.append("created", {"id": 2})
    cut = path_of(record).read_bytes()
    for length in range(len(whole), len(cut)):
        path_of(record).write_bytes(cut[:length])
        assert [event.data["id"] for event in reread(record).events("created")] == [1]


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
    ],
    ids=["edited", "removed", "swapped", "repeated", "empty line", "a list", "no JSON", "no hash"],
)
def test_an_altered_record_is_refused_with_its_line(record: RunLog, alter: Any) -> None:  # noqa: ANN401 - a lambda
    record.append("step", {"outcome": "failed"})
    record.append("step", {"outcome": "ok, really"})
    record.append("result", {"exit_code": 1})
    lines = path_of(record).read_bytes().splitlines(keepends=True)
    path_of(record).write_bytes(b"".join(alter(lines)))

    with pytest.raises(RunbookError, match="altered") as caught:
        reread(record).events()

    assert caught.value.where.startswith(str(path_of(record)))
    assert caught.value.where.rpartition(":")[2] in {"2", "3"}
    assert "--run" in caught.value.fix


def test_reading_in_between_does_not_disturb_the_writer(record: RunLog) -> None:
    for number in range(5):
        record.append("created", {"id": number})
        assert len(record.events("created")) == number + 1
        assert len(reread(record).events("created")) == number + 1


def test_a_record_that_was_opened_can_go_on(record: RunLog) -> None:
    reread(record).append("note", {"by": "another process"})

    assert [event.kind for event in reread(record).events()] == ["begin", "note"]


def test_readers_beside_the_writer_see_whole_prefixes(record: RunLog) -> None:
    """A reader that comes at any moment sees events 0 to n, in order, never a hole and never half a line."""
    ended = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not ended.is_set():
            ids = [event.data["id"] for event in reread(record).events("created")]
            if ids != list(range(len(ids))):
                wrong.append(ids)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(200):
        record.append("created", {"id": number})
    ended.set()
    for reader in readers:
        reader.join()

    assert wrong == []
    assert len(reread(record).events("created")) == 200


FULL = """
import resource, sys
from pathlib import Path
from runbook.errors import RunbookError
from runbook.runs.run_log import begin_run, open_run
record = begin_run(Path(sys.argv[1]), task="traffic", target="live")
size = (record.folder / "record.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
try:
    record.append("created", {"id": 1, "label": "x" * 200})
except RunbookError as error:
    print(error.seen)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
record.append("result", {"exit_code": 1})
print([event.kind for event in open_run(Path(sys.argv[1]), record.run_id).events()])
"""


def test_a_full_disk_leaves_no_torn_line_in_the_middle(tmp_path: Path) -> None:
    """A limit of the kernel plays the full disk: the line that did not fit is gone, what follows it still holds."""
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)

    said, kinds = done.stdout.splitlines()
    assert said.startswith("What happens cannot be kept, so nothing more is done:")
    assert kinds == "['begin', 'result']"


def test_backups_come_back_byte_by_byte(record: RunLog, tmp_path: Path) -> None:
    path, content = tmp_path / "dashboard.json", b"\xef\xbb\xbf{}\r\n"

    copy = record.back_up(path, content)

    assert copy.read_bytes() == content
    assert reread(record).backup(path, digest(content)) == content
    assert record.events("backup")[0].data["sha256"] == digest(content)


@pytest.mark.parametrize("harm", [Path.unlink, lambda copy: copy.write_bytes(b"other")], ids=["gone", "altered"])
def test_a_backup_that_is_not_the_one_is_refused(record: RunLog, tmp_path: Path, harm: Any) -> None:  # noqa: ANN401
    path = tmp_path / "dashboard.json"
    harm(record.back_up(path, b"old"))

    with pytest.raises(RunbookError, match="missing or was altered"):
        record.backup(path, digest(b"old"))


def test_ids_are_in_the_order_of_time(tmp_path: Path) -> None:
    """Also within one second: the newest run is never an older one."""
    begun = [begin_run(tmp_path, task="traffic", target="live").run_id for _ in range(50)]

    assert begun == sorted(set(begun))
    assert [record.run_id for record in all_runs(tmp_path)] == begun


@pytest.mark.parametrize("run_id", ["20990101-000000-0000", "..", ".", "", "../locks", "/etc"])
def test_no_such_run(record: RunLog, run_id: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_run(record.folder.parents[1], run_id)

    assert record.run_id in caught.value.fix


def test_a_run_of_another_target_is_not_taken_for_one_of_this(record: RunLog) -> None:
    state_dir = record.folder.parents[1]

    assert open_run(state_dir, record.run_id, target="live").run_id == record.run_id
    with pytest.raises(UsageError, match="was on target 'live', not on 'local'"):
        open_run(state_dir, record.run_id, target="local")


def test_the_newest_run_that_fits(tmp_path: Path) -> None:
    begun = [begin_run(tmp_path, task="traffic", target=target) for target in ("live", "live", "live", "local")]
    for record in (begun[0], begun[1], begun[3]):
        record.append("traffic", {})

    found = last_run(tmp_path, target="live", holding="traffic")

    assert found is not None
    assert found.run_id == begun[1].run_id
    assert last_run(tmp_path, target="live", holding="replaces") is None
    assert len(all_runs(tmp_path)) == 4


def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A file stands where the folder should be: said in three parts, not as a defect."""
    (tmp_path / "state").write_text("mine")

    with pytest.raises(RunbookError, match="cannot be kept"):
        begin_run(tmp_path / "state", task="setup", target="live")
