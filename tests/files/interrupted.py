"""A program that kills writers of files at every system call, and within every write, and looks at what is left.

It numbers the calls by which a writer changes anything. A writer runs in a fork, with one point set: killed before
call n, after it, or after so many bytes of a write. A second fork then recovers. Violations are printed as JSON.
"""

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, NoReturn

from runbook.errors import DocumentError
from runbook.files.file_change import FileChange
from runbook.files.file_io import write_documents
from runbook.files.recovery import recover

MEMORY = next((name for name in ("/dev/shm",) if os.access(name, os.W_OK)), None)  # noqa: S108 - in a folder of its own
"""Where the scenes are: a kill loses nothing that was written, so the bytes need not reach a disk at each fsync."""

CALLS = ("mkdir", "chmod", "fchmod", "write", "pwrite", "fsync", "ftruncate", "rename", "unlink")
SCENARIOS = {
    "tiny": [(b"0123", b"0x"), (b"A", b"BC")],
    "longer": [(b"0123456789", b"0123abcdefghi89"), (b"AAAABBBB", b"AAAAxyzBBBB")],
    "shorter": [(b"0123456789", b"01xx9"), (b"AAAABBBB", b"B")],
    "mixed": [(b"0123456789", b"abcdefghij"), (b"abcabcabc", b"bca"), (b"", b"new"), (b"old", b"")],
}
Files = Sequence[tuple[bytes, bytes]]
Writer = Callable[[Sequence[FileChange], Path], object]


class Point(NamedTuple):
    """Where something happens: at call `number`, after `taken` bytes of a write (-1: before, None: after the call)."""

    number: int
    taken: int | None


class Shim:
    """Stands before the calls of `os`, counts them, and does something at one point of them."""

    def __init__(self, point: Point | None, happens: Callable[[], None]) -> None:
        self.seen: list[tuple[str, int]] = []
        self._point, self._happens = point, happens

    def install(self) -> None:
        for name in CALLS:
            setattr(os, name, self._guarded(name, getattr(os, name)))

    def _guarded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the call it stands for
            size = len(arguments[1]) if name in {"write", "pwrite"} else 0
            self.seen.append((name, size))
            point = self._point if self._point and self._point.number == len(self.seen) - 1 else None
            if point and point.taken is not None and point.taken > 0:
                call(arguments[0], arguments[1][: point.taken], *arguments[2:])
            if point and point.taken is not None:
                self._happens()
            try:
                return call(*arguments, **options)
            finally:  # a call that failed is over, too
                if point:
                    self._happens()

        return guarded


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class FullDisk:
    """From its point on, no write succeeds any more; or only that one call fails."""

    def __init__(self, *, stays: bool) -> None:
        self.stays = stays

    def __call__(self) -> None:
        def full(*_arguments: object) -> NoReturn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        if self.stays:
            os.pwrite = os.write = full
        full()


def naive(changes: Sequence[FileChange], _journal: Path) -> None:
    """The broken variant: truncate and write, as everybody does."""
    for change in changes:
        descriptor = os.open(change.path, os.O_RDWR)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, change.after, 0)
        os.fsync(descriptor)


def unguarded(changes: Sequence[FileChange], journal: Path) -> None:
    """The broken variant: in the right order, but each file for itself."""
    for number, change in enumerate(changes):
        write_documents([change], journal=journal / str(number))


def journalled(changes: Sequence[FileChange], journal: Path) -> None:
    write_documents(changes, journal=journal)


WRITERS: dict[str, Writer] = {"journalled": journalled, "naive": naive, "unguarded": unguarded}


def in_fork(action: Callable[[], None]) -> int:
    """Exit status of an action in a process of its own: 0, 1 for DocumentError, -9 if it was killed, else 2."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            action()
            status = 0
        except DocumentError:
            status = 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def calls_of(action: Callable[[], object]) -> list[tuple[str, int]]:
    """The calls that an action makes, seen from a fork."""
    reading, writing = os.pipe()

    def counted() -> None:
        shim = Shim(None, die)
        shim.install()
        action()
        os.write(writing, json.dumps(shim.seen).encode())

    in_fork(counted)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return [(name, size) for name, size in json.loads(pipe.read() or b"[]")]


def points(calls: Sequence[tuple[str, int]], *, journal_bytes: int = 200) -> Iterator[Point]:
    """Every place to die at; within the one long write, that of the journal, only some."""
    for number, (_name, size) in enumerate(calls):
        yield Point(number, -1)
        step = 1 if size < journal_bytes else size // 3
        yield from (Point(number, taken) for taken in range(1, size, step))
        yield Point(number, None)


class Scene:
    """Files in a folder as they were before, and where their journal is."""

    def __init__(self, files: Files) -> None:
        self.folder = TemporaryDirectory(dir=MEMORY)
        self.journal = Path(self.folder.name) / "journal"
        self.changes = [
            FileChange(path=Path(self.folder.name) / f"file{n}", before=before, after=after)
            for n, (before, after) in enumerate(files)
        ]
        for change in self.changes:
            change.path.write_bytes(change.before)
        self.inodes = self._inodes()

    def _inodes(self) -> list[int]:
        return [change.path.stat().st_ino for change in self.changes]

    def wrong(self) -> str:
        """What is wrong with the files now: empty if all are old or all are new, in the same inodes, no entry left."""
        found = [change.path.read_bytes() for change in self.changes]
        states = ([change.before for change in self.changes], [change.after for change in self.changes])
        if found not in states:
            return f"files hold {found}"
        if self._inodes() != self.inodes:
            return "an inode was replaced"
        left = [path.name for path in self.journal.rglob("*") if path.is_file()]
        return f"left in the journal: {left}" if left else ""

    def all_old(self) -> bool:
        return all(change.path.read_bytes() == change.before for change in self.changes)


def writing(scene: Scene, writer: Writer, shim: Shim | None = None) -> Callable[[], None]:
    def action() -> None:
        if shim:
            shim.install()
        writer(scene.changes, scene.journal)

    return action


def recovering(scene: Scene, shim: Shim | None = None) -> Callable[[], None]:
    def action() -> None:
        if shim:
            shim.install()
        for folder in (scene.journal, *scene.journal.glob("*")):
            recover(folder)

    return action


def killed_once(files: Files, writer: Writer) -> Iterator[tuple[Point, str]]:
    """Each point, and what is wrong after a kill there and a recovery."""
    for point in points(calls_of(writing(Scene(files), writer))):
        scene = Scene(files)
        status = in_fork(writing(scene, writer, Shim(point, die)))
        recovered = in_fork(recovering(scene))
        wrong = f"not killed: {status}" if status != -signal.SIGKILL else scene.wrong()
        yield point, wrong or (f"recovery failed: {recovered}" if recovered else "")


def killed_twice(files: Files, writer: Writer) -> Iterator[tuple[Point, str]]:
    """Each point in each recovery from a kill at each point: killed again, recovered again."""
    for first in points(calls_of(writing(Scene(files), writer))):
        scene = Scene(files)
        in_fork(writing(scene, writer, Shim(first, die)))
        for second in points(calls_of(recovering(scene))):
            scene = Scene(files)
            in_fork(writing(scene, writer, Shim(first, die)))
            status = in_fork(recovering(scene, Shim(second, die)))
            recovered = in_fork(recovering(scene))
            wrong = f"not killed: {status}" if status != -signal.SIGKILL else scene.wrong()
            yield second, wrong or (f"recovery failed: {recovered}" if recovered else "")


def disk_full(files: Files, writer: Writer) -> Iterator[tuple[Point, str]]:
    """Each point, with a disk that is full for that call: an error, and every file as it was.

    Where nothing can be written from there on, the old bytes neither, recovery decides afterwards: all old or all new.
    """
    for stays in (True, False):
        for point in points(calls_of(writing(Scene(files), writer))):
            if point.taken is None:
                continue
            scene = Scene(files)
            status = in_fork(writing(scene, writer, Shim(point, FullDisk(stays=stays))))
            old_already = scene.all_old()
            in_fork(recovering(scene))
            wrong = scene.wrong()
            if status not in {0, 1}:
                wrong = f"ended with {status}"
            elif status == 1 and not stays and not old_already:
                wrong = "an error, and not the old bytes"
            yield point, wrong


MODES = {"once": killed_once, "twice": killed_twice, "full": disk_full}


def main(mode: str, scenario: str, writer: str) -> None:
    started = time.monotonic()
    outcomes = [*MODES[mode](SCENARIOS[scenario], WRITERS[writer])]
    violations = [[*point, wrong] for point, wrong in outcomes if wrong]
    answer = {"points": len(outcomes), "violations": violations, "seconds": round(time.monotonic() - started, 1)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
