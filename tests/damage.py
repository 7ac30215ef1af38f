"""Ways in which the record of a run comes to be unusable, and a folder that belongs to another user."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook import private_paths
from runbook.platforms import is_root, our_id
from runbook.runs.run_log import RunLog

STRANGER = 65533 if our_id() == 65534 else 65534  # not ourselves, and the tests may run as nobody


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a path another user's: really, where the tests run as root, else by what stat tells of it."""
    if is_root():
        os.chown(path, STRANGER, STRANGER)
        return
    owner = private_paths.owner
    monkeypatch.setattr(private_paths, "owner", lambda other: STRANGER if other == path else owner(other))


def rights(folder: Path) -> dict[str, str]:
    """Return the mode of everything in a folder and of itself, by name."""
    return {path.name: stat.filemode(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def altered(run_log: RunLog) -> None:
    path = run_log.folder / "record.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"mark": 1', b'"mark": 2'))


def without_its_end(run_log: RunLog) -> None:
    path = run_log.folder / "record.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def without_its_beginning(run_log: RunLog) -> None:
    path = run_log.folder / "record.jsonl"
    path.write_bytes(b"\n" + path.read_bytes().split(b"\n", 1)[1])


def without_its_record(run_log: RunLog) -> None:
    (run_log.folder / "record.jsonl").unlink()


DAMAGES: dict[Callable[[RunLog], None], str] = {
    altered: "damaged or altered",
    without_its_end: "The end of the run record is missing",
    without_its_beginning: "damaged or altered",
    without_its_record: "does not hold the beginning of a run",
}
"""Each with what is said of it. All need an event with the data {"mark": 1} that is not the first."""
