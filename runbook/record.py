"""What happened, kept: `.runbook/runs/ID/` with an append-only, hash-chained record, backups, and the lock.

Every event is one line of JSON and is on the disk before the next thing is done, so that an interrupt loses nothing.
Each line's hash covers the line before it: a record that was altered afterwards is refused.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec

from runbook.errors import LockedError, RunbookError, UsageError

_FIRST = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a record."""

    at: datetime
    kind: str
    data: dict[str, Any]


class Record:
    """The record of one run. Opened for reading by `open_record`, begun by `begin_record`."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of one run."""
        self.folder = folder
        self.run_id = folder.name
        self._path = folder / "record.jsonl"
        self._last = _FIRST

    def append(self, kind: str, data: object) -> None:
        """Write one event and wait until it is on the disk. `data` is any record of runbook.model, or a dict."""
        body = {"at": datetime.now(UTC).isoformat(), "kind": kind, "data": msgspec.to_builtins(data)}
        self._last = _chained(self._last, body)
        line = json.dumps(body | {"hash": self._last}, ensure_ascii=False) + "\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def events(self, kind: str | None = None) -> tuple[Event, ...]:
        """Return the events in order, all or of one kind.

        A last line that a crash cut off is left out. Raises RunbookError if the chain does not hold.
        """
        found = tuple(self._verified())
        return tuple(event for event in found if kind is None or event.kind == kind)

    def back_up(self, path: Path, content: bytes) -> Path:
        """Keep the bytes of a file as they were, named by the file and the hash of the bytes."""
        folder = self.folder / "backups"
        folder.mkdir(mode=0o700, exist_ok=True)
        copy = folder / _copy_name(path, digest(content))
        with copy.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self.append("backup", {"file": str(path), "copy": copy.name, "sha256": digest(content)})
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

    def _verified(self) -> Iterator[Event]:
        self._last = _FIRST
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n") and number == len(lines):
                return
            body = _parsed(line)
            if body is None or body.pop("hash", None) != _chained(self._last, body):
                raise RunbookError(
                    "The record was altered after it was written: the chain of hashes does not hold",
                    where=f"{self._path}:{number}",
                    fix="do not rely on this run; inv run makes a new one",
                )
            self._last = _chained(self._last, body)
            yield Event(at=datetime.fromisoformat(body["at"]), kind=body["kind"], data=body["data"])


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def _copy_name(path: Path, sha256: str) -> str:
    return f"{path.name}.{sha256[:16]}"


def begin_record(state_dir: Path, *, task: str, target: str) -> Record:
    """Begin a run with a new id: time in UTC and four random hex digits, fit for an e-mail address."""
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = state_dir / "runs" / run_id
    folder.mkdir(mode=0o700, parents=True)
    record = Record(folder)
    record.append("begin", {"task": task, "target": target, "pid": os.getpid()})
    return record


def open_record(state_dir: Path, run_id: str) -> Record:
    """Return an earlier run for reading. Raises UsageError when there is none of that id."""
    folder = state_dir / "runs" / run_id
    if "/" in run_id or not folder.is_dir():
        known = [record.run_id for record in all_records(state_dir)][-3:]
        raise UsageError(
            f"There is no run {run_id!r}",
            where=str(state_dir / "runs"),
            fix=f"inv history (last: {', '.join(known) or 'none'})",
        )
    return Record(folder)


def all_records(state_dir: Path) -> tuple[Record, ...]:
    """Return the runs so far, oldest first."""
    folder = state_dir / "runs"
    return tuple(Record(path) for path in sorted(folder.iterdir())) if folder.is_dir() else ()


def last_record(state_dir: Path, *, target: str, holding: str) -> Record | None:
    """Return the newest run on `target` that has an event of kind `holding`."""
    for record in reversed(all_records(state_dir)):
        events = record.events()
        if events and events[0].data.get("target") == target and any(event.kind == holding for event in events):
            return record
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    pid: int
    task: str
    since: str

    @classmethod
    def read(cls, path: Path) -> Self | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None


@contextmanager
def target_lock(state_dir: Path, *, target: str, task: str) -> Iterator[None]:
    """Hold the one lock of a target while files are changed or traffic is sent.

    The kernel drops the lock with the process, however it ends. Raises LockedError, naming the holder.
    """
    folder = state_dir / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(target.encode()).hexdigest()[:16]}.lock"
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(path, target) from None
        file.truncate(0)
        file.write(msgspec.json.encode(_Holder(pid=os.getpid(), task=task, since=f"{datetime.now(UTC):%H:%M:%S} UTC")))
        file.flush()
        yield


def _locked(path: Path, target: str) -> LockedError:
    holder = _Holder.read(path)
    who = f"inv {holder.task}, process {holder.pid}, since {holder.since}" if holder else "a process that gave no name"
    return LockedError(f"Another run works on target {target!r}: {who}", where=str(path), fix="wait until it has ended")


def _chained(previous: str, body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(previous.encode() + text.encode()).hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(line)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
