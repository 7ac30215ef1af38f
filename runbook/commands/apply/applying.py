"""A change of the files on its way: written, read again by the services, proven served; else all of it is undone.

An undo ends with a proof too: the old bytes are back, and they are what is served again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from runbook.commands.apply.replacing import Replacing
from runbook.commands.apply.rereading import Rereading
from runbook.commands.apply.restored import Restored
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import RolledBackError, RunbookError
from runbook.files.file_change import Plan
from runbook.files.file_io import read_document
from runbook.interrupts import uninterrupted
from runbook.systems.runtime import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file, and the service that is to read it: not at all if `proof` is None."""

    service: Service
    plan: Plan
    is_reread: bool
    proof: tuple[str, Callable[[], StepOutput[None]]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """The parts of one change; what has been done of them so far can be undone."""

    task_run: TaskRun
    replacing: Replacing
    rereading: Rereading
    restored: Restored
    parts: tuple[Part, ...]
    written: list[Plan] = field(default_factory=list)
    reread: list[Part] = field(default_factory=list)

    def apply(self) -> None:
        """Write, have it read, wait until it is served; undo all of it if that ends in any other way.

        An interrupt is undone as well, but what is served then is not waited for. Raises RolledBackError if the old
        state was proven again, else RunbookError.
        """
        try:
            with uninterrupted():
                self.task_run.step("back up", 1, lambda: self.replacing.kept(self._writes))
                self.task_run.step("write", 1, self._replaced)
            for part in self.parts:
                if part.is_reread:
                    self.reread.append(part)
                    self._read_again(part)
            for part in self.parts:
                if part.proof:
                    name, proof = part.proof
                    self.task_run.step(name, 3, proof)
        except RunbookError as error:
            if not self.written:
                raise
            raise self._rolled_back(error) from None
        except BaseException:  # an interrupt, or a defect
            self._undo()
            raise

    @property
    def _writes(self) -> list[Plan]:
        return [part.plan for part in self.parts if part.plan.changed]

    def _replaced(self) -> StepOutput[None]:
        """Write, and know of it before the step is recorded: a record that is full must not hide it from the undo."""
        done = self.replacing.replaced(self._writes)
        self.written.extend(self._writes)
        return done

    def _read_again(self, part: Part) -> None:
        verb = "reload" if part.service == self.rereading.services.prometheus else "restart"
        path = Path(part.plan.source)
        self.task_run.step(f"{verb} {part.service.name}", 3, partial(self.rereading.reread, part.service, path))

    def _undo(self) -> list[RunbookError]:
        """Put the old bytes back, and have them read by who may have read the new ones; return what failed of it.

        Each part for itself: neither a service that does not come nor a record that is full keeps the rest from it.
        """
        if not self.written:
            return []
        with uninterrupted():
            put_back = partial(self.task_run.step, "put back", 1, lambda: self.replacing.put_back(self.written))
            return _failures([put_back, *(partial(self._read_again, part) for part in self.reread)])

    def _rolled_back(self, error: RunbookError) -> RunbookError:
        """Undo, wait until the old state is served, and return the error that says what came of it.

        The proof decides: a service that refused to read the old file may never have read the new one.
        """
        failed = self._undo()
        unproven = _failures([partial(self._prove_old, part) for part in self.reread])
        are_back = self._are_back()
        if are_back and not unproven:
            served = ", and the old state is served" if self.reread else ""
            return RolledBackError(f"{error.seen}. The files are as before{served}", where=error.where, fix=error.fix)
        failed += unproven
        return RunbookError(
            f"{error.seen}. {'The files are as before, but then' if are_back else 'And then'}: "
            f"{'; '.join(one.seen for one in failed)}",
            where="; ".join(
                (error.where, *(one.where for one in failed), f"record {self.task_run.context.run_log.folder}")
            ),
            fix=failed[0].fix,
        )

    def _are_back(self) -> bool:
        try:
            return all(read_document(Path(plan.source)) == plan.before for plan in self.written)
        except RunbookError:
            return False

    def _prove_old(self, part: Part) -> None:
        back = replace(part.plan, before=part.plan.after, after=part.plan.before)
        self.task_run.step(f"{part.service.name} serves the old state", 3, self.restored.proof(part.service, back))


def _failures(works: Iterable[Callable[[], object]]) -> list[RunbookError]:
    """Do all of it, whatever fails, and return the failures."""
    failed = []
    for work in works:
        try:
            work()
        except RunbookError as error:
            failed.append(error)
    return failed
