"""A change of the files on its way: written, read again by the services, proven served; else all of it is undone.

An undo ends with a proof too: the old bytes are back, and they are what is served again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from runbook.clients.runtime import Service
from runbook.documents.plan import Plan
from runbook.errors import RolledBackError, RunbookError
from runbook.interrupts import uninterrupted
from runbook.steps.frame import Done, Frame
from runbook.steps.replacing import Replacing
from runbook.steps.rereading import Rereading
from runbook.steps.restored import Restored


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file, and the service that is to read it: not at all if `proof` is None."""

    service: Service
    plan: Plan
    is_reread: bool
    proof: tuple[str, Callable[[], Done[None]]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """The parts of one change; what has been done of them so far can be undone."""

    frame: Frame
    replacing: Replacing
    rereading: Rereading
    restored: Restored
    parts: tuple[Part, ...]
    written: list[Plan] = field(default_factory=list)
    reread: list[Part] = field(default_factory=list)

    def apply(self) -> None:
        """Write, have it read, wait until it is served; undo all of it if that ends in any other way.

        Raises RolledBackError if the old state was proven again, else RunbookError.
        """
        writes = [part.plan for part in self.parts if part.plan.changed]
        try:
            with uninterrupted():
                self.frame.step("back up", 1, lambda: self.replacing.kept(writes))
                self.frame.step("write", 1, lambda: self.replacing.replaced(writes))
                self.written.extend(writes)
            for part in self.parts:
                if part.is_reread:
                    self.reread.append(part)
                    self._read_again(part)
            for part in self.parts:
                if part.proof:
                    name, proof = part.proof
                    self.frame.step(name, 3, proof)
        except RunbookError as error:
            if not self.written:
                raise
            raise self._rolled_back(error) from None
        except BaseException:  # an interrupt, or a defect
            self._undo()
            raise

    def _read_again(self, part: Part) -> None:
        verb = "reload" if part.service == self.rereading.services.prometheus else "restart"
        path = Path(part.plan.source)
        self.frame.step(f"{verb} {part.service.name}", 3, partial(self.rereading.reread, part.service, path))

    def _undo(self) -> None:
        """Put the old bytes back, and have them read by who may have read the new ones."""
        with uninterrupted():
            if self.written:
                self.frame.step("put back", 1, lambda: self.replacing.put_back(self.written))
                for part in self.reread:
                    self._read_again(part)

    def _rolled_back(self, error: RunbookError) -> RunbookError:
        """Undo, wait until the old state is served, and return the error that says what came of it."""
        try:
            self._undo()
            for part in self.reread:
                back = replace(part.plan, before=part.plan.after, after=part.plan.before)
                proof = self.restored.proof(part.service, back)
                self.frame.step(f"{part.service.name} serves the old state", 3, proof)
        except RunbookError as second:
            is_back = any(step.outcome == "rolled_back" for step in self.frame.steps)
            return (RolledBackError if is_back else RunbookError)(
                f"{error.seen}. {'The files are as before, but then' if is_back else 'And then'}: {second.seen}",
                where=f"{error.where}; {second.where}; record {self.frame.record.folder}",
                fix=second.fix,
            )
        served = ", and the old state is served" if self.reread else ""
        return RolledBackError(f"{error.seen}. The files are as before{served}", where=error.where, fix=error.fix)
