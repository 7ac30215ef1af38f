"""Planned files replaced: kept first, written all or none also by a kill, and put back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import DocumentError, RunbookError
from runbook.files.file_change import Plan
from runbook.files.file_io import Change, refused, write_document, write_documents
from runbook.files.journal import Entry, abandoned, unfinished
from runbook.files.recovery import recover
from runbook.locks import files_lock
from runbook.model import Evidence
from runbook.observer import Observer
from runbook.runs.run_log import REPLACES, RunLog, digest


def warn_of_unfinished(state_dir: Path, observer: Observer) -> None:
    """Tell whoever only looks that a killed command may have left the files half written; nothing is touched."""
    for path in unfinished(_journal(state_dir)):
        observer.says(
            "A command was killed while it wrote the files; they may be half written. inv setup or inv rollback puts "
            f"that right ({path})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacing:
    """Writes for one task: `journal` is the folder that outlives a kill in the middle of a write."""

    record: RunLog
    journal: Path

    @classmethod
    def of(cls, record: RunLog, state_dir: Path) -> "Replacing":
        """Return the one for a task of this state directory."""
        return cls(record=record, journal=_journal(state_dir))

    def settle(self, task_run: TaskRun, *, only_look: bool = False) -> None:
        """Put right what a killed command left half written, as a step of its own if there is anything.

        With `only_look` nothing is written: what is left half written then raises RunbookError.
        """
        entries = _entries(self.journal)
        if only_look and entries:
            raise RunbookError(
                "A command was killed while it wrote the files; they may be half written",
                where=_named(entries),
                fix="inv setup without --dry-run, or inv rollback: both put that right first",
            )
        with files_lock(sorted({intent.path for entry in entries for intent in entry.intents})) as notes:
            found = recover(self.journal)
        if found:
            reason = "; ".join((*(f"{one.path.name} {one.outcome}: {one.reason}" for one in found), *notes))
            evidence = tuple(Evidence(source=str(one.path), saw=one.reason) for one in found)
            is_changed = any(one.outcome != "left" for one in found)
            done = StepOutput(
                value=None, outcome="changed" if is_changed else "unchanged", reason=reason, evidence=evidence
            )
            task_run.step("unfinished write", 0, lambda: done)

    def kept(self, plans: Sequence[Plan]) -> StepOutput[None]:
        """Keep the bytes of every file as they are now, and as they will be: a later rollback compares with both."""
        copies = [self.record.back_up(Path(plan.source), plan.before) for plan in plans]
        for plan in plans:
            self.record.keep(Path(plan.source), plan.after)
        evidence = tuple(
            Evidence(source=plan.source, saw=f"kept as {copy}") for plan, copy in zip(plans, copies, strict=True)
        )
        return StepOutput(value=None, outcome="ok", reason=f"{len(plans)} files kept in the record", evidence=evidence)

    def replaced(self, plans: Sequence[Plan]) -> StepOutput[None]:
        """Write every file, or none. Raises RunbookError."""
        if not plans:
            return StepOutput(value=None, outcome="unchanged", reason="the files are as wished already")
        for plan in plans:
            hashes = {"before": digest(plan.before), "after": digest(plan.after)}
            change = {"file": plan.source, "kind": plan.kind, **hashes}
            self.record.append(REPLACES, change)
        changes = [Change(path=Path(plan.source), before=plan.before, after=plan.after) for plan in plans]
        notes = write_documents(changes, journal=self.journal)
        reason = "; ".join((*(plan.reason for plan in plans), *notes))
        return StepOutput(value=None, outcome="changed", reason=reason)

    def put_back(self, plans: Sequence[Plan]) -> StepOutput[None]:
        """Give every file its old bytes, all at once; where that cannot be, each for itself.

        Raises DocumentError naming all that could not be.
        """
        back = [Change(path=Path(plan.source), before=plan.after, after=plan.before) for plan in plans]
        failed: list[RunbookError] = []
        try:
            write_documents(back, journal=self.journal)
        except RunbookError:
            failed = [error for change in back if (error := self._put_back(change))]
        if failed:
            raise DocumentError(
                f"The old bytes could not be put back: {'; '.join(error.seen for error in failed)}",
                where=", ".join(error.where for error in failed),
                fix="put the copies of the record's folder backups/ in their place by hand",
            )
        return StepOutput(value=None, outcome="rolled_back", reason=f"{len(plans)} files are as before")

    def _put_back(self, change: Change) -> RunbookError | None:
        """Without the journal: it needs room on the disk, which is what may be lacking."""
        try:
            write_document(change.path, change.before, change.after)
        except RunbookError as error:
            return error
        return None


def _journal(state_dir: Path) -> Path:
    return state_dir / "journal"


def _entries(journal: Path) -> list[Entry]:
    with refused(journal):
        return [*abandoned(journal)]


def _named(entries: Sequence[Entry]) -> str:
    return ", ".join(str(intent.path) for entry in entries for intent in entry.intents) or str(entries[0].path)
