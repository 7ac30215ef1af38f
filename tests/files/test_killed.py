"""A writer in a process of its own is killed before any call that changes something; on Windows too, which cannot fork.

What `test_interrupted` does at every byte, and for recovery too, is done here at every call.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runbook.files.recovery import recover

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[2]
BEFORE = {"dashboard.json": b"0123456789", "rules.yml": b"AAAABBBB"}
AFTER = {"dashboard.json": b"0123abcdefghi89", "rules.yml": b"B"}
PROGRAM = f"""
import os, sys
from pathlib import Path
from runbook.files.file_change import FileChange
from runbook.files.file_io import write_documents

BEFORE, AFTER = {BEFORE!r}, {AFTER!r}
folder, at, seen = Path(sys.argv[1]), int(sys.argv[2]), 0

def guarded(call):
    def counted(*arguments, **options):
        global seen
        if seen == at:
            os._exit(9)
        seen += 1
        return call(*arguments, **options)
    return counted

for name in ("mkdir", "chmod", "fchmod", "write", "pwrite", "fsync", "ftruncate", "rename", "replace", "unlink"):
    if hasattr(os, name):
        setattr(os, name, guarded(getattr(os, name)))
if sys.argv[3] == "naive":
    for name, content in AFTER.items():
        descriptor = os.open(folder / name, os.O_RDWR)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, content)
else:
    changes = [FileChange(path=folder / name, before=BEFORE[name], after=AFTER[name]) for name in BEFORE]
    write_documents(changes, journal=folder / "journal")
print(seen)
"""


def written(folder: Path, at: int, writer: str) -> int:
    """Have the files written by a process that is killed before call `at`; return the number of calls, 0 if killed."""
    folder.mkdir()
    for name, content in BEFORE.items():
        (folder / name).write_bytes(content)
    words = [sys.executable, "-c", PROGRAM, str(folder), str(at), writer]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == (9 if at >= 0 else 0), done.stderr
    return int(done.stdout or b"0")


def wrong(folder: Path) -> str:
    """Recover, and return what is wrong then: neither all old nor all new, or something left in the journal."""
    recover(folder / "journal")
    found = {name: (folder / name).read_bytes() for name in BEFORE}
    left = [*(folder / "journal").glob("*")]
    return "" if found in (BEFORE, AFTER) and not left else f"{found}, {left}"


def wrong_after_kills(folder: Path, writer: str) -> list[str]:
    calls = written(folder / "whole", -1, writer)
    assert {name: (folder / "whole" / name).read_bytes() for name in BEFORE} == AFTER

    def after_kill(at: int) -> str:
        written(folder / str(at), at, writer)
        what = wrong(folder / str(at))
        return what and f"killed before call {at}: {what}"

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return [found for found in pool.map(after_kill, range(calls)) if found]


def test_killed_before_any_call_all_files_are_old_or_all_are_new(tmp_path: Path) -> None:
    assert wrong_after_kills(tmp_path, "journalled") == []


def test_a_naive_writer_is_caught(tmp_path: Path) -> None:
    """The broken variant: truncate and write."""
    assert wrong_after_kills(tmp_path, "naive")
