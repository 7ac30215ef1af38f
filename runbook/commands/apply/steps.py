"""A change of the files, in this order: recover, back up, write, reload, prove; if that fails, undo and prove again.

Whatever ends it, an error, an interrupt or a defect, every file is then as it was before, or it is said which is not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from runbook.commands.apply.proofs import Proof, file_proof
from runbook.commands.apply.services import Services
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import DocumentError, RolledBackError, RunbookError
from runbook.files.file_change import FileChange, Kind
from runbook.files.file_io import read_document, refused, write_document, write_documents
from runbook.files.journal import abandoned, unfinished
from runbook.files.recovery import Recovered, recover
from runbook.interrupts import Interrupted, uninterrupted
from runbook.invocation import inv
from runbook.locks import files_lock
from runbook.model import Evidence
from runbook.observer import Observer
from runbook.runs.run_log import REPLACES, digest
from runbook.systems.runtime import Service
from runbook.wording import counted, pasteable

RECOVERED: Final = "recovered"
"""Kind of the event of a file whose write a kill had cut off: `file`, and the SHA-256 of what it `holds` now."""


def warn_of_unfinished(state_dir: Path, observer: Observer) -> None:
    """Tell whoever only looks that a killed command may have left the files half written; nothing is touched."""
    for path in unfinished(_journal(state_dir)):
        observer.says(
            "A command was killed while it wrote the files; they may be half written. "
            f"{inv('setup')} or {inv('rollback')} puts that right ({pasteable(path)})"
        )


def recover_files(task_run: TaskRun, *, only_look: bool = False) -> None:
    """Put right what a killed command left half written, as a step of its own if there is anything.

    With `only_look` nothing is written: what is left half written then raises RunbookError.
    """
    journal = _journal(task_run.context.state_dir)
    with refused(journal):
        entries = [*abandoned(journal)]
    paths = sorted({file.change.path for entry in entries for file in entry.files})
    if only_look and entries:
        raise RunbookError(
            "A command was killed while it wrote the files; they may be half written",
            where=", ".join(pasteable(path) for path in paths) or pasteable(entries[0].path),
            fix=f"{inv('setup')} without --dry-run, or {inv('rollback')}: both put that right first",
        )
    with files_lock(paths) as notes:
        found = recover(journal)
    for one in found:
        if one.holds is not None:
            task_run.context.run_log.append(RECOVERED, {"file": str(one.path), "holds": digest(one.holds)})
    if found:
        task_run.step("unfinished write", 0, lambda: _recovered(found, notes))


def _recovered(found: Sequence[Recovered], notes: Sequence[str]) -> StepOutput[None]:
    reason = "; ".join((*(f"{one.path.name} {one.outcome}: {one.reason}" for one in found), *notes))
    evidence = tuple(Evidence(source=pasteable(one.path), saw=one.reason) for one in found)
    is_changed = any(one.outcome != "left" for one in found)
    return StepOutput(value=None, outcome="changed" if is_changed else "unchanged", reason=reason, evidence=evidence)


class Apply:
    """One change of the files on its way; what has been done of it so far can be undone."""

    def __init__(
        self,
        task_run: TaskRun,
        services: Services,
        changes: Sequence[FileChange],
        *,
        readers: Mapping[Kind, Service],
        proofs: Mapping[Kind, Proof],
    ) -> None:
        """Take the changes, empty ones too: a file may be right already, and not served.

        `readers` are the found services that must read their file again, `proofs` what is then to be served.
        """
        self._task_run = task_run
        self._context = task_run.context
        self._run_log = task_run.context.run_log
        self._journal = _journal(task_run.context.state_dir)
        self._services = services
        self._changes = {change.kind: change for change in changes if change.kind}
        self._writes = [change for change in changes if not change.is_empty]
        self._readers = readers
        self._proofs = proofs
        self._written: list[FileChange] = []
        self._told: list[Kind] = []

    def run(self) -> None:
        """Write, reload, and wait until the change is served; undo all of it if that ends in any other way.

        An interrupt is undone as well, but what is served then is not waited for: `not_undone` of the context then
        tells what is not as before. Raises RolledBackError if the old state was proven again, else RunbookError.
        """
        try:
            with uninterrupted():
                self._task_run.step("back up", 1, self._back_up)
                self._task_run.step("write", 1, self._write)
            for kind in self._readers:
                self._reload(kind)
            for kind, proof in self._proofs.items():
                self._prove(kind, proof)
        except RunbookError as error:
            if not self._written:
                raise
            raise self._rolled_back(error) from None
        except BaseException as end:  # an interrupt, or a defect
            self._undo()
            left = self._context.not_undone
            if left and not isinstance(end, Interrupted):
                seen = f"{end!r}. {left.seen}"
                raise RunbookError(seen, where=left.where, fix=left.fix) from end
            raise
        self._context.not_undone = None

    # Back up

    def _back_up(self) -> StepOutput[None]:
        """Keep the bytes of every file as they are now, and as they will be: a later rollback compares with both."""
        evidence = []
        for change in self._writes:
            copy = self._run_log.back_up(change.path, change.before)
            evidence.append(Evidence(source=pasteable(change.path), saw=f"kept as {copy}"))
        for change in self._writes:
            self._run_log.keep(change.path, change.after)
        reason = f"{counted(len(self._writes), 'file')} kept in the run's backups"
        return StepOutput(value=None, outcome="ok", reason=reason, evidence=tuple(evidence))

    # Write

    def _write(self) -> StepOutput[None]:
        """Write every file, or none.

        That it is written is known before the step is recorded: a full disk must not hide it from the undo.
        """
        if not self._writes:
            return StepOutput(value=None, outcome="unchanged", reason="the files hold the wanted content already")
        for change in self._writes:
            hashes = {"before": digest(change.before), "after": digest(change.after)}
            self._run_log.append(REPLACES, {"file": str(change.path), "kind": change.kind, **hashes})
        notes = write_documents(self._writes, journal=self._journal)
        self._written.extend(self._writes)
        self._context.not_undone = self._left([])
        reason = "; ".join((*(change.reason for change in self._writes), *notes))
        return StepOutput(value=None, outcome="changed", reason=reason)

    # Reload

    def _reload(self, kind: Kind) -> None:
        """Have a service read its file again; from then on it may serve it."""
        self._told.append(kind)
        self._reread(kind)

    def _reread(self, kind: Kind) -> None:
        service, path = self._readers[kind], self._changes[kind].path
        verb = self._services.verb(kind)
        self._task_run.step(f"{verb} {service.name}", 3, partial(self._services.reread, kind, service, path))

    # Prove

    def _prove(self, kind: Kind, proof: Proof) -> None:
        service = self._readers.get(kind) or self._services.meant(kind)
        self._task_run.step(proof.step, 3, partial(self._services.proven, service, proof))

    # Undo

    def _undo(self) -> list[RunbookError]:
        """Put the old bytes back, and have them read by who may have read the new ones; return what failed of it.

        Each part for itself: neither a service that does not come nor a record that is full keeps the rest from it.
        """
        if not self._written:
            return []
        with uninterrupted():
            put_back = partial(self._task_run.step, "put back", 1, self._put_back)
            failed = _failures([put_back, *(partial(self._reread, kind) for kind in self._told)])
            self._context.not_undone = self._left(failed) if failed or self._not_back() else None
        return failed

    def _put_back(self) -> StepOutput[None]:
        """Give every file its old bytes, all at once; where that cannot be, each for itself.

        Then without the journal: it needs room on the disk, which is what may be lacking.
        """
        back = [change.reversed() for change in self._written]
        failed: list[RunbookError] = []
        try:
            write_documents(back, journal=self._journal)
        except RunbookError:
            failed = _failures([partial(write_document, one.path, one.before, one.after) for one in back])
        if failed:
            raise DocumentError(
                f"The old bytes could not be put back: {'; '.join(error.seen for error in failed)}",
                where=", ".join(error.where for error in failed),
                fix=self._by_hand(),
            )
        return StepOutput(value=None, outcome="rolled_back", reason="the files are as before")

    def _rolled_back(self, error: RunbookError) -> RunbookError:
        """Undo, wait until the old state is served, and return the error that says what came of it.

        The proof decides: a service that refused to read the old file may never have read the new one.
        """
        failed = self._undo()
        unproven = _failures([partial(self._prove_old, kind) for kind in self._told])
        if not self._not_back() and not unproven:
            self._context.not_undone = None
            served = ", and the old state is served" if self._told else ""
            return RolledBackError(f"{error.seen}. The files are as before{served}", where=error.where, fix=error.fix)
        left = self._left([*failed, *unproven])
        return RunbookError(f"{error.seen}. {left.seen}", where=f"{error.where}; {left.where}", fix=left.fix)

    def _prove_old(self, kind: Kind) -> None:
        self._prove(kind, file_proof(self._context.target, self._changes[kind].reversed(), self._services.timeout_s))

    def _left(self, failed: Sequence[RunbookError]) -> RunbookError:
        """What is not as before after an undo, or would not be if it did not come to an end."""
        not_back = self._not_back()
        files = ", ".join(pasteable(path) for path in not_back)
        state = (
            f"Not as before this command: {files}"
            if files
            else "The files are as before, but what is served may not be"
        )
        return RunbookError(
            ": ".join((state, "; ".join(one.seen for one in failed))) if failed else state,
            where="; ".join((*(one.where for one in failed), f"run {self._run_log.folder}")),
            fix=failed[0].fix if failed and not not_back else self._by_hand(),
        )

    def _not_back(self) -> list[Path]:
        """The files that do not hold their old bytes."""
        return [change.path for change in self._written if _content(change.path) != change.before]

    def _by_hand(self) -> str:
        rollback = inv(f"rollback --run {self._run_log.run_id}")
        return f"{rollback}, or put the copies in {self._run_log.folder / 'backups'} in their place by hand"


def _journal(state_dir: Path) -> Path:
    return state_dir / "journal"


def _content(path: Path) -> bytes | None:
    try:
        return read_document(path)
    except RunbookError:
        return None


def _failures(works: Iterable[Callable[[], object]]) -> list[RunbookError]:
    """Do all of it, whatever fails, and return the failures."""
    failed = []
    for work in works:
        try:
            work()
        except RunbookError as error:
            failed.append(error)
        except Exception as error:  # noqa: BLE001 - a defect in one part of an undo must not keep the rest from it
            seen = f"{type(error).__name__}: {error}"
            failed.append(RunbookError(seen, where="the undo of this command", fix="report this defect"))
    return failed
