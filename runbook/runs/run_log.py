"""What happened, kept: `.runbook/runs/ID/` with an append-only, hash-chained record and backups.

Every event is one line of JSON and is on the disk before the next thing is done, so that an interrupt loses nothing.
Each line's hash covers the line before it: a record that was altered afterwards is refused.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from runbook.errors import RunbookError, UsageError
from runbook.interrupts import uninterrupted

_FIRST = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One line of a record."""

    at: datetime
    kind: str
    data: dict[str, Any]


class RunLog:
    """The record of one run. Opened for reading by `open_run`, begun by `begin_run`."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of one run."""
        self.folder = folder
        self.run_id = folder.name
        self._path = folder / "record.jsonl"
        self._last: str | None = None

    def append(self, kind: str, data: object) -> None:
        """Write one event and wait until it is on the disk. `data` is any record of runbook.model, or a dict.

        All of it or nothing: neither an interrupt nor a full disk leaves half a line. Raises RunbookError.
        """
        data = msgspec.to_builtins(data, str_keys=True)
        body = {"at": datetime.now(UTC).isoformat(), "kind": kind, "data": data}
        with uninterrupted(), _keeping(self._path):
            last = _chained(self._head() if self._last is None else self._last, body)
            _append_line(self._path, _text(body | {"hash": last}) + b"\n")
            self._last = last

    @property
    def target(self) -> str:
        """The target of the run; empty where the record does not hold its beginning."""
        return self._begun("target")

    @property
    def task(self) -> str:
        """The task of the run; empty where the record does not hold its beginning."""
        return self._begun("task")

    def events(self, kind: str | None = None) -> tuple[RunEvent, ...]:
        """Return the events in order, all or of one kind.

        A last line that a crash cut off is left out. Raises RunbookError if the chain does not hold.
        """
        found = [event for event, _ in self._verified()]
        return tuple(event for event in found if kind is None or event.kind == kind)

    def back_up(self, path: Path, content: bytes) -> Path:
        """Keep the bytes of a file as they were, named by the file and the hash of the bytes, and record it."""
        copy = self.keep(path, content)
        self.append("backup", {"file": str(path), "copy": copy.name, "sha256": digest(content)})
        return copy

    def keep(self, path: Path, content: bytes) -> Path:
        """Keep bytes of a file for `backup` to find; they are on the disk on return. Raises RunbookError."""
        copy = self.folder / "backups" / _copy_name(path, digest(content))
        with _keeping(copy):
            copy.parent.mkdir(mode=0o700, exist_ok=True)
            _write_whole(copy, content, os.O_TRUNC)
            _sync_folder(copy.parent)
        return copy

    def backup(self, path: Path, sha256: str) -> bytes:
        """Return the bytes that were kept of a file. Raises RunbookError if they are gone or were altered."""
        copy = self.folder / "backups" / _copy_name(path, sha256)
        content = copy.read_bytes() if copy.is_file() else b""
        if digest(content) != sha256:
            raise RunbookError(
                f"The backup of {path.name} is missing or was altered",
                where=str(copy),
                fix=f"restore {path} from version control",
            )
        return content

    def _begun(self, name: str) -> str:
        return next((str(event.data[name]) for event in self.events("begin")), "")

    def _head(self) -> str:
        """Return the hash of the last line, which the next one continues."""
        return ([_FIRST] + [last for _, last in self._verified()])[-1]

    def _verified(self) -> Iterator[tuple[RunEvent, str]]:
        """Yield each event with the hash that closes its line."""
        last = _FIRST
        *lines, _cut_off = _content(self._path).split(b"\n")
        for number, line in enumerate(lines, start=1):
            body = _parsed(line)
            written = body.pop("hash", None)
            last = _chained(last, body)
            if written != last:
                raise RunbookError(
                    "The record was altered after it was written: the chain of hashes does not hold",
                    where=f"{self._path}:{number}",
                    fix="do not rely on this run: choose another with --run (inv history), or make a new one",
                )
            yield RunEvent(at=datetime.fromisoformat(body["at"]), kind=body["kind"], data=body["data"]), last


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def _copy_name(path: Path, sha256: str) -> str:
    return f"{path.name}.{sha256[:16]}"


def begin_run(state_dir: Path, *, task: str, target: str) -> RunLog:
    """Begin a run with a new id: time in UTC, the part of the second in four hex digits; fit for an e-mail address.

    Ids are in the order of time.
    """
    with _keeping(state_dir / "runs"):
        folder = _new_folder(state_dir / "runs")
    record = RunLog(folder)
    record.append("begin", {"task": task, "target": target, "pid": os.getpid()})
    return record


def _new_folder(runs: Path) -> Path:
    runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        now = datetime.now(UTC)
        folder = runs / f"{now:%Y%m%d-%H%M%S}-{now.microsecond * 0x10000 // 1_000_000:04x}"
        with suppress(FileExistsError):  # another run began within the same 15 microseconds
            folder.mkdir(mode=0o700)
            return folder


def open_run(state_dir: Path, run_id: str, *, target: str | None = None) -> RunLog:
    """Return an earlier run. Raises UsageError when there is none of that id, or it was on another target."""
    records = {record.run_id: record for record in all_runs(state_dir)}
    if run_id not in records:
        raise UsageError(
            f"There is no run {run_id!r}",
            where=str(state_dir / "runs"),
            fix=f"inv history (last: {', '.join(list(records)[-3:]) or 'none'})",
        )
    record = records[run_id]
    if target is not None and record.target not in {target, ""}:
        raise UsageError(
            f"Run {run_id} was on target {record.target!r}, not on {target!r}",
            where=str(record.folder),
            fix=f"give --target {record.target}, or another run (inv history)",
        )
    return record


def all_runs(state_dir: Path) -> tuple[RunLog, ...]:
    """Return the runs so far, oldest first."""
    folder = state_dir / "runs"
    return tuple(RunLog(path) for path in sorted(folder.iterdir())) if folder.is_dir() else ()


def last_run(state_dir: Path, *, target: str, holding: str) -> RunLog | None:
    """Return the newest run on `target` that has an event of kind `holding`."""
    for record in reversed(all_runs(state_dir)):
        if record.target == target and record.events(holding):
            return record
    return None


@contextmanager
def _keeping(path: Path) -> Iterator[None]:
    """Say in three parts that the state directory cannot be written: it is full, read-only or somebody else's."""
    try:
        yield
    except OSError as error:
        raise RunbookError(
            f"What happens cannot be kept, so nothing more is done: {error.strerror}",
            where=str(path),
            fix="make room there, or work in a directory that you may write to",
        ) from None


def _append_line(path: Path, line: bytes) -> None:
    """Append, and wait for the disk; if that fails, cut off what was written: what follows must find whole lines."""
    _write_whole(path, line, os.O_APPEND)


def _write_whole(path: Path, content: bytes, how: int) -> None:
    """Write all of it, and wait for the disk; else cut off what was written. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a new name last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        fix = "read it as the user who made the run"
        raise RunbookError(f"The record cannot be read: {error.strerror}", where=str(path), fix=fix) from None


def _chained(previous: str, body: dict[str, Any]) -> str:
    return digest(previous.encode() + _text(body, sort_keys=True))


def _text(body: dict[str, Any], *, sort_keys: bool = False) -> bytes:
    """Return JSON as it is kept; a file name that is no UTF-8 survives as the surrogates that Python makes of it."""
    return json.dumps(body, sort_keys=sort_keys, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the object of a line; one that holds none is empty, and so no hash fits it."""
    try:
        body = json.loads(line)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
