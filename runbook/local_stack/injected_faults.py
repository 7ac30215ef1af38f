"""What was done to the local stack, and how it is undone: written to `.stack/fault.json` before anything is touched."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from runbook.errors import AnswerError, UnreachableError
from runbook.files.file_io import read_document, write_document
from runbook.local_stack import stack
from runbook.settings import Target
from runbook.systems.alertmanager.client import Alertmanager
from runbook.systems.processes.launcher import write_private
from runbook.systems.prometheus.client import Prometheus


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedFault:
    """One thing that was done and how it is undone.

    `stop` is a service that runs changed: stopped, it comes back as planned. `path` was `before` and is `after`.
    `silence` is an id to expire; `sends` means that only new traffic undoes it.
    """

    what: str
    stop: str = ""
    path: str = ""
    before: bytes = field(default=b"", repr=False)
    after: bytes = field(default=b"", repr=False)
    silence: str = ""
    sends: bool = False


class InjectedFaults:
    """The faults that are in one local stack now, over all commands that injected one."""

    def __init__(self, file: Path) -> None:
        """Take the file that keeps them, and read it."""
        self._file = file
        self.every = self._kept()

    @property
    def need_traffic(self) -> bool:
        """Whether something was done that only new traffic undoes."""
        return any(fault.sends for fault in self.every)

    def add(self, fault: InjectedFault) -> None:
        """Keep what is about to be done."""
        self.every = (*self.every, fault)
        write_private(self._file, msgspec.json.encode(self.every))

    def undo(self, directory: Path, target: Target) -> tuple[str, ...]:
        """Undo everything, the last first, and return what it was. `stack.up` starts what was stopped for that."""
        for fault in reversed(self.every):
            if fault.path:
                _restore(fault)
            if fault.silence:
                with suppress(AnswerError, UnreachableError):  # expired, or gone with Alertmanager: it is undone
                    Alertmanager(target.alertmanager).expire(fault.silence)
            if fault.stop:
                stack.stop_service(directory, fault.stop)
        if any(fault.path for fault in self.every):
            with suppress(UnreachableError):  # it is down, and reads the files when `stack.up` starts it
                Prometheus(target.prometheus).reload()
        return tuple(fault.what for fault in self.every)

    def forget(self) -> None:
        """Remove the file: everything is undone."""
        self.every = ()
        self._file.unlink(missing_ok=True)

    def _kept(self) -> tuple[InjectedFault, ...]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=tuple[InjectedFault, ...])
        except FileNotFoundError:
            return ()


def _restore(fault: InjectedFault) -> None:
    """Put a file back, unless somebody has repaired it in the meantime."""
    path = Path(fault.path)
    if read_document(path) == fault.after:
        write_document(path, fault.after, fault.before)
