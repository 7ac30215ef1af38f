"""The log of one run: `.runbook/runs/ID/` with an append-only, hash-chained record, its head, and backups.

Every event is one line of JSON in `record.jsonl` and is on the disk before the next thing is done, so that an
interrupt loses nothing. Each line's hash covers the line before it, and `last` tells how many lines there are
(run_head): a record that was altered, or whose end is missing, is refused.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from runbook.errors import FOREIGN, RunbookError
from runbook.interrupts import uninterrupted
from runbook.platforms import sync_folder
from runbook.private_paths import private_file, private_folder, refuse_foreign
from runbook.runs.run_files import altered, damaged, write_all, writing
from runbook.runs.run_head import HEAD_FILE, START, RunHead, read_head, write_head

BEGIN: Final = "begin"
RESULT: Final = "result"
REPLACES: Final = "replaces"
"""Kind of the event that is recorded before a file is written, so that a rollback also finds what a kill left."""
TRAFFIC: Final = "traffic"

_CLOSING: Final = frozenset({BEGIN, RESULT})
"""Kinds of event behind which the head is waited for, too: it then survives a power failure."""

FORMAT: Final = 2
"""Written into the event `begin`: from 2 on a record has a head. Earlier ones do not say what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One line of a record."""

    at: datetime
    kind: str
    data: dict[str, Any]


class RunLog:
    """The log of one run. Begun by `begin_run`, found by `open_run`, `all_runs` and `newest_run`."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of one run."""
        self.folder = folder
        self.run_id = folder.name
        self._head: RunHead | None = None

    def append(self, kind: str, data: object) -> None:
        """Write one event and wait until it is on the disk. `data` is any record of runbook.model, or a dict.

        All of it or nothing: neither an interrupt nor a full disk leaves half a line. Raises RunbookError.
        """
        data = msgspec.to_builtins(data, str_keys=True)
        body = {"at": datetime.now(UTC).isoformat(), "kind": kind, "data": data}
        with uninterrupted(), writing(self._path):
            before = self._head or self._continued()
            after = RunHead(lines=before.lines + 1, hash=_chained(before.hash, body))
            self._append_line(_text(body | {"hash": after.hash}) + b"\n", after, durable=kind in _CLOSING)
            self._head = after

    @property
    def target(self) -> str:
        """The target of the run. Raises RunbookError."""
        return str(self.begin.data.get("target", ""))

    @property
    def task(self) -> str:
        """The task of the run. Raises RunbookError."""
        return str(self.begin.data.get("task", ""))

    @cached_property
    def begin(self) -> RunEvent:
        """The first event; nothing behind it is read. Raises RunbookError."""
        with self._reading(), self._path.open("rb") as record:
            line = record.readline()
        return self._begun([event for event, _ in self._verified(line)])

    def events(self, kind: str | None = None) -> tuple[RunEvent, ...]:
        """Return the events in order, all or of one kind.

        A last line that a crash cut off is left out. Raises RunbookError if the record is not whole.
        """
        found = [event for event, _ in self._whole()]
        return tuple(event for event in found if kind is None or event.kind == kind)

    def mentions(self, kind: str) -> bool:
        """Whether the record may hold an event of that kind: cheap, and never False for one that does."""
        try:
            return f'"kind": "{kind}"'.encode() in self._path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def back_up(self, path: Path, content: bytes) -> Path:
        """Keep the bytes of a file as they were, named by the file and the hash of the bytes, and record it."""
        copy = self.keep(path, content)
        self.append("backup", {"file": str(path), "copy": copy.name, "sha256": digest(content)})
        return copy

    def keep(self, path: Path, content: bytes) -> Path:
        """Keep bytes of a file for `backup` to find; they are on the disk on return. Raises RunbookError."""
        copy = self.backups / _copy_name(path, digest(content))
        with writing(copy):
            private_folder(copy.parent)
            with private_file(copy, os.O_TRUNC) as descriptor:
                write_all(descriptor, content)
            sync_folder(copy.parent)
        return copy

    def copy_of(self, path: Path, sha256: str) -> Path | None:
        """Return where bytes of a file are kept, if they are."""
        copy = self.backups / _copy_name(path, sha256)
        return copy if copy.is_file() and digest(copy.read_bytes()) == sha256 else None

    def backup(self, path: Path, sha256: str) -> bytes:
        """Return the bytes that were kept of a file. Raises RunbookError if they are gone or were altered."""
        copy = self.backups / _copy_name(path, sha256)
        content = copy.read_bytes() if copy.is_file() else b""
        if digest(content) != sha256:
            raise RunbookError(
                f"The backup of {path.name} is missing or was altered",
                where=str(copy),
                fix=f"restore {path} from version control",
            )
        return content

    @property
    def backups(self) -> Path:
        """The folder of the backups; there is none before the first."""
        return self.folder / "backups"

    @property
    def _path(self) -> Path:
        return self.folder / "record.jsonl"

    def _continued(self) -> RunHead:
        """Return where the record ends, for the next line; half a line that a crash left there is cut off first."""
        if not self._path.exists():
            return START
        _, head = self._whole()[-1]
        os.truncate(self._path, self._path.read_bytes().rfind(b"\n") + 1)
        return head

    def _append_line(self, line: bytes, head: RunHead, *, durable: bool) -> None:
        """Append, wait for the disk, and move the head; if any of it fails, the record is as long as before."""
        with private_file(self._path, os.O_APPEND) as descriptor:
            size = os.fstat(descriptor).st_size
            try:
                write_all(descriptor, line)
                write_head(self.folder, head, durable=durable)
            except OSError:
                os.ftruncate(descriptor, size)
                raise

    def _whole(self) -> list[tuple[RunEvent, RunHead]]:
        """Return every event with the end of its line. Raises RunbookError."""
        with self._reading():
            head = read_head(self.folder)  # before the record, which is never behind it
            content = self._path.read_bytes()
        found = list(self._verified(content))
        begin = self._begun([event for event, _ in found[:1]])
        if head:
            self._reach(head, [START, *(end for _, end in found)])
        elif begin.data.get("format", 1) >= FORMAT:
            seen = "Whether the run record is complete is not known: its head is missing or damaged"
            raise damaged(seen, self.folder / HEAD_FILE)
        return found

    def _reach(self, head: RunHead, ends: list[RunHead]) -> None:
        """Raise RunbookError unless the record, by the ends of its lines, goes on to its head; it may be longer."""
        if len(ends) <= head.lines:
            lines = f"{len(ends) - 1} of {head.lines} lines"
            raise damaged(f"The end of the run record is missing: {lines} are left", self._path)
        if ends[head.lines] != head:
            raise altered(f"{self._path}:{head.lines}")

    def _verified(self, content: bytes) -> Iterator[tuple[RunEvent, RunHead]]:
        """Yield the event of each whole line with the end of the record there. Raises RunbookError."""
        head = START
        *lines, _cut_off = content.split(b"\n")
        for line in lines:
            body = _parsed(line)
            written = body.pop("hash", None)
            head = RunHead(lines=head.lines + 1, hash=_chained(head.hash, body))
            if written != head.hash:
                raise altered(f"{self._path}:{head.lines}")
            yield RunEvent(at=datetime.fromisoformat(body["at"]), kind=body["kind"], data=body["data"]), head

    def _begun(self, events: list[RunEvent]) -> RunEvent:
        """Return the first of some events, if it is the beginning of a run."""
        if events and events[0].kind == BEGIN:
            return events[0]
        raise damaged("The run record does not hold the beginning of a run", self._path)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Refuse a run of another user, and say in three parts what cannot be read."""
        try:
            refuse_foreign(self.folder)
            yield
        except FileNotFoundError:
            self._begun([])
        except OSError as error:
            raise damaged(f"The run record cannot be read: {error.strerror}", self._path) from None


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def _copy_name(path: Path, sha256: str) -> str:
    return f"{path.name}.{sha256[:16]}"


def _chained(previous: str, body: dict[str, Any]) -> str:
    return digest(previous.encode() + _text(body, sort_keys=True))


def _text(body: dict[str, Any], *, sort_keys: bool = False) -> bytes:
    """Return JSON as it is kept; a file name that is no UTF-8 survives as the surrogates that Python makes of it."""
    return json.dumps(body, sort_keys=sort_keys, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the object of a line; one that holds none is empty, and so no hash fits it."""
    try:
        body = json.loads(line)
        is_event = isinstance(body["data"], dict) and isinstance(body["kind"], str)
        is_event = is_event and datetime.fromisoformat(body["at"]).tzinfo is not None
    except (*FOREIGN, TypeError, KeyError):
        return {}
    return body if is_event else {}
