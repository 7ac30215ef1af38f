"""Starts and ends the detached processes of one stack folder, and remembers them so that none is ever lost.

A process is known by its id *and* its start time, because ids are given out again. Every process also carries the
folder's path in its environment: what a killed `stack.up` had no time to write down is found by that.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import psutil

from runbook import platforms
from runbook.errors import RunbookError, WaitError
from runbook.invocation import inv
from runbook.platforms import detached
from runbook.waiting import Pending, wait_until

MARKER = "RUNBOOK_STACK"
_OWNER_ONLY = 0o600
_KILL_DEADLINE_S = 5.0
_LOOK_EVERY_S = 0.02
_LOOKS = 3
STOPPED = "stopped by a signal (SIGSTOP)"
_HALTED = {
    psutil.STATUS_STOPPED: STOPPED,
    psutil.STATUS_ZOMBIE: "a zombie: its main thread has ended",
}
_NOTE_S = 0.2  # the shell notes the exit code a moment after the end
# Linux counts a start time from a boot time in whole seconds, which moves by one when the clock is corrected.
# An id is not given out again within two seconds of its first use: 32,768 others come first.
_SAME_START_S = 2.0
# The shell in the background is the parent that stays to write down the exit code, 128 + N after signal N. It says
# the program's id on the pipe that `start` reads, and closes it; signals go to the program, never to the shell. Where
# there is no shell, as on Windows, Python does the same, with some megabytes for each program.
_PYTHON_KEEPER = Path(__file__).with_name("keeper.py")
_KEEPER = """
log=$1 exit_file=$2; shift 2
exec 2>>"$log"
{ "$@" >&2 & echo $!; exec >&- 2>/dev/null; wait $!; echo $? >"$exit_file"; } &
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a program is started.

    `environment_files` are read at each start: variable -> file with its value. `announced_by` is the file that the
    program writes when it is ready; an old one is removed before each start.
    """

    command: tuple[str, ...]
    directory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_files: Mapping[str, str] = field(default_factory=dict)
    announced_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A process that was started: `started_at` in seconds since the epoch (0: it was gone at once), `number` from 1.

    `log_begins` is the size in bytes that its log had before.
    """

    name: str
    launch: Launch
    pid: int
    started_at: float
    number: int
    log_begins: int = 0


class Launcher:
    """The processes of one folder: records in `parts/`, output in `logs/`."""

    def __init__(self, root: Path) -> None:
        """Take the folder; nothing is read or made before the first call."""
        self.root = root.absolute()

    def log_file(self, name: str) -> Path:
        """Return the file that takes the output of every start of `name`."""
        return self.root / "logs" / f"{name}.log"

    def names(self) -> tuple[str, ...]:
        """Return the names that have a record."""
        return tuple(sorted(path.stem for path in self._records.glob("*.json")))

    def record(self, name: str) -> ProcessRecord | None:
        """Return the record of the last start of `name`; None if it is absent or unreadable."""
        try:
            return msgspec.json.decode(self._record_file(name).read_bytes(), type=ProcessRecord)
        except (OSError, msgspec.DecodeError):
            return None

    def start(self, name: str, launch: Launch) -> ProcessRecord:
        """Start `name` in a session of its own and record it. Returns at once: started is not ready."""
        for folder in (self._records, self.log_file(name).parent):
            folder.mkdir(parents=True, exist_ok=True)
        if launch.announced_by:
            Path(launch.announced_by).unlink(missing_ok=True)
        before = self.record(name)
        number = before.number + 1 if before else 1
        log_begins = self._log_size(name)
        pid = _kept(
            [str(self.log_file(name)), str(self._exit_file(name, number)), *launch.command],
            directory=launch.directory,
            environment={**launch.environment, **_read(launch.environment_files), MARKER: str(self.root)},
        )
        record = ProcessRecord(
            name=name, launch=launch, pid=pid, started_at=_started_at(pid), number=number, log_begins=log_begins
        )
        write_private(self._record_file(name), msgspec.json.encode(record))
        return record

    def process(self, record: ProcessRecord) -> psutil.Process | None:
        """Return the recorded process, or None if it is gone or its id now belongs to another one."""
        try:
            process = psutil.Process(record.pid)
            same = abs(process.create_time() - record.started_at) < _SAME_START_S
            return process if same and not _is_gone(process) else None
        except psutil.NoSuchProcess:
            return None

    def exit_code(self, record: ProcessRecord) -> int | None:
        """Return the code it left with, 128 + N after signal N; None while it runs or if nobody saw it end."""
        if self.process(record):
            return None
        with contextlib.suppress(WaitError):  # its shell was ended too, or the machine
            return wait_until(
                lambda: self._noted_exit(record), what="the code", deadline_s=_NOTE_S, where="", fix="", every_s=0.01
            )
        return None

    def stop(self, names: Iterable[str], *, timeout_s: float) -> None:
        """End these side by side: SIGTERM, and SIGKILL for what is left after `timeout_s`. Windows has no SIGTERM."""
        records = (self.record(name) for name in names)
        _end([process for record in records if record and (process := self.process(record))], timeout_s)

    def kill(self, name: str) -> None:
        """End it with SIGKILL, as the kernel does when memory runs out."""
        record = self.record(name)
        process = self.process(record) if record else None
        if process:
            _kill([process])

    def suspend(self, name: str) -> None:
        """Stop it until it is resumed or ended: SIGSTOP. On Windows, so does what the launcher of a venv started."""
        for process in self._with_its_program(name):
            process.suspend()

    def resume(self, name: str) -> None:
        """Let it run on: SIGCONT."""
        for process in self._with_its_program(name):
            process.resume()

    def halted(self, record: ProcessRecord) -> str:
        """Say why a process that is there cannot work: STOPPED, or a zombie with threads; nothing if it can."""
        process = self.process(record)
        try:
            return _HALTED.get(process.status(), "") if process else ""
        except psutil.NoSuchProcess:
            return ""

    def _with_its_program(self, name: str) -> tuple[psutil.Process, ...]:
        record = self.record(name)
        process = self.process(record) if record else None
        if process is None:
            return ()
        return (process, *(() if platforms.has_shell() else process.children(recursive=True)))

    def stop_strays(self, *, timeout_s: float) -> bool:
        """End every process of this user that carries the folder's path, recorded or not; tell if there was one.

        A shell may have started its program after the look at the machine, so look again until none is left.
        """
        has_found = False
        for _ in range(_LOOKS):
            strays = list(self._strays())
            if not strays:
                break
            has_found = True
            _end(strays, timeout_s)
        return has_found

    def _log_size(self, name: str) -> int:
        try:
            return self.log_file(name).stat().st_size
        except FileNotFoundError:
            return 0

    def _noted_exit(self, record: ProcessRecord) -> int | Pending:
        try:
            return int(self._exit_file(record.name, record.number).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return Pending("not noted")

    def _strays(self) -> Iterator[psutil.Process]:
        us = psutil.Process().username()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_ours = process.username() == us and process.environ().get(MARKER) == str(self.root)
                if is_ours and not _is_gone(process):
                    yield process

    @property
    def _records(self) -> Path:
        return self.root / "parts"

    def _record_file(self, name: str) -> Path:
        return self._records / f"{name}.json"

    def _exit_file(self, name: str, number: int) -> Path:
        return self._records / f"{name}.{number}.exit"


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, so that a reader sees the old content or all of the new."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, _OWNER_ONLY)) as file:
        file.write(content)
    draft.replace(path)


def _kept(words: Sequence[str], *, directory: str, environment: Mapping[str, str]) -> int:
    """Start a keeper, in a session of its own, and return the id of the program that it has started."""
    options: dict[str, Any] = {
        "cwd": directory,
        "env": environment,
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
    }
    if platforms.has_shell():
        by_shell = [str(platforms.SHELL), "-c", _KEEPER, "keeper", *words]
        return int(subprocess.run(by_shell, check=True, **options, **detached()).stdout)
    by_python = [sys.executable, "-I", "-S", str(_PYTHON_KEEPER), *words]
    keeper = subprocess.Popen(by_python, stderr=subprocess.DEVNULL, **options, **detached())
    keeper.returncode = 0  # it stays when we have ended: nobody awaits it
    with cast("IO[bytes]", keeper.stdout) as said:
        return int(said.readline())


def _read(files: Mapping[str, str]) -> dict[str, str]:
    try:
        return {variable: Path(path).read_text(encoding="utf-8").strip() for variable, path in files.items()}
    except OSError as error:
        raise RunbookError(
            f"A value that a service needs cannot be read: {error.strerror}",
            where=str(error.filename),
            fix=f"{inv('stack.down')}, then {inv('stack.up')}",
        ) from None


def _started_at(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _end(processes: list[psutil.Process], timeout_s: float) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            process.resume()  # a stopped process would see SIGTERM only when somebody wakes it
    _kill(_still_there_after(timeout_s, processes))


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _still_there_after(_KILL_DEADLINE_S, processes)


def _still_there_after(timeout_s: float, processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait until all are gone, and return those that are not. One that only its parent has to bury is gone."""
    left = list(processes)

    def look() -> Pending | None:
        left[:] = [process for process in left if not _is_gone(process)]
        return Pending(f"{len(left)} still run") if left else None

    with contextlib.suppress(WaitError):
        wait_until(look, what="the end", deadline_s=timeout_s, where="", fix="", every_s=_LOOK_EVERY_S)
    return left


def _is_gone(process: psutil.Process) -> bool:
    """Tell if a process has ended with all its threads: a zombie whose others still end holds its ports meanwhile."""
    try:
        return not process.is_running() or (process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1)
    except psutil.NoSuchProcess:
        return True
