"""The files as they were before a recorded setup, read again by their services, and proven to be served."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbook.commands.apply.by_hand import services_of
from runbook.commands.apply.proofs import file_proof
from runbook.commands.apply.services import reload_plan
from runbook.commands.apply.steps import Apply, recover_files
from runbook.commands.rollback.options import RollbackOptions
from runbook.commands.rollback.result import RollbackResult
from runbook.commands.rollback.standing_change import UNDOES, StandingChange
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import DocumentError, ExitCode, RunbookError
from runbook.files.file_change import FileChange, Kind
from runbook.files.file_io import read_document
from runbook.files.three_way_diff import three_way_diff
from runbook.invocation import inv
from runbook.locks import files_lock
from runbook.model import Evidence
from runbook.runs.run_history import newest_change, open_run
from runbook.runs.run_log import REPLACES, RunEvent, RunLog, digest
from runbook.settings import Target
from runbook.systems.runtime import Service
from runbook.wording import counted, pasteable


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """The files on their way back, and who changed what in those that somebody has changed since that run."""

    run_id: str
    changes: tuple[FileChange, ...]
    changed_since: Mapping[Path, str]
    readers: Mapping[Kind, Service] = field(default_factory=dict)
    reload: str = ""

    @property
    def diff(self) -> str:
        """What changes, of a file that was changed since with all three versions."""
        return "".join(self.changed_since.get(change.path) or change.diff() for change in self.changes)


def rollback(context: RunContext, options: RollbackOptions) -> RollbackResult:
    """Put back what a setup changed, have it read again, and prove that the old state is served.

    Refused, with no file touched, when a service that must read it is not there, or when somebody changed a file since
    that setup; `force` gives their change up (the run keeps a copy). What does not come to be served is undone.
    """
    task_run = TaskRun("rollback", context)
    target, screen = context.target, context.screen
    services = services_of(target, context.runtime, timeout_s=options.timeout_s, says=screen.says)
    plan: RollbackPlan | None = None
    try:
        with ExitStack() as held:
            held.enter_context(context.locked())
            recover_files(task_run)
            setup = _setup_run(context, options.run_id)
            if setup is None:
                task_run.step("plan", 1, lambda: _nothing_stands(target))
                return replace(task_run.result(RollbackResult, "unchanged", ExitCode.OK), diff="")
            for note in held.enter_context(files_lock([Path(event.data["file"]) for event in setup.events(REPLACES)])):
                screen.says(note)
            plan = task_run.step("plan", 1, lambda: _planned(setup))
            screen.shows_diff(plan.diff)
            if not plan.changes:
                return replace(task_run.result(RollbackResult, "unchanged", ExitCode.OK), diff="")
            if not options.force:
                _refuse_changed(plan)
            kinds = [change.kind for change in plan.changes if change.kind] if options.restart else []
            readers = {kind: services.found(kind) for kind in kinds}
            plan = replace(plan, readers=readers, reload=reload_plan(services, readers))
            if not screen.confirm(_question(plan, target)):
                return replace(task_run.declined(RollbackResult), diff=plan.diff)
            context.run_log.append(UNDOES, {"run": setup.run_id, "since": setup.begin.at.isoformat()})
            proofs = {
                one.kind: file_proof(target, one, options.timeout_s)
                for one in plan.changes
                if one.kind and options.restart
            }
            Apply(task_run, services, plan.changes, readers=plan.readers, proofs=proofs).run()
    except RunbookError as error:
        return replace(task_run.failure(RollbackResult, error), diff=plan.diff if plan else None)
    return replace(task_run.result(RollbackResult, "changed", ExitCode.OK), diff=plan.diff)


def _setup_run(context: RunContext, run_id: str | None) -> RunLog | None:
    """The run to take back; None if every change on the target is undone. Raises RunbookError if there was none."""
    target, state_dir = context.target, context.state_dir
    if run_id:
        asked = open_run(state_dir, run_id, target=target.name)
        if not asked.events(REPLACES):
            raise _nothing_written("That run wrote no file", asked.folder)
        return asked
    stands = StandingChange(_digest_now)
    newest = newest_change(state_dir, stands, target=target.name)
    for damaged in newest.passed_over:
        context.screen.says(str(damaged))
    if newest.run_log is None and not stands.is_any_undone:
        raise _nothing_written(f"No setup on target {target.name!r} has written anything", state_dir / "runs")
    return newest.run_log


def _nothing_written(seen: str, where: Path) -> RunbookError:
    return RunbookError(seen, where=str(where), fix=f"{inv('history')} lists the runs; there is nothing to put back")


def _nothing_stands(target: Target) -> StepOutput[None]:
    reason = f"every change of the files on target {target.name} is undone already"
    return StepOutput(value=None, outcome="unchanged", reason=reason)


def _digest_now(path: Path) -> str:
    try:
        return digest(read_document(path))
    except RunbookError:
        return ""


def _planned(setup: RunLog) -> StepOutput[RollbackPlan]:
    changes, changed_since = [], {}
    for event in setup.events(REPLACES):
        change = _return(setup, event)
        changes.append(change)
        if not change.is_empty and digest(change.before) != event.data["after"]:
            changed_since[change.path] = _compared(setup, change, event.data["after"])
    evidence = tuple(Evidence(source=pasteable(one.path), saw=one.reason) for one in changes)
    left = tuple(one for one in changes if not one.is_empty)
    plan = RollbackPlan(run_id=setup.run_id, changes=left, changed_since=changed_since)
    if not left:
        reason = f"the files are as before run {setup.run_id} already"
        return StepOutput(value=plan, outcome="unchanged", reason=reason, evidence=evidence)
    reason = f"{counted(len(left), 'file')} to put back as before run {setup.run_id}"
    return StepOutput(value=plan, outcome="ok", reason=reason, evidence=evidence)


def _return(setup: RunLog, event: RunEvent) -> FileChange:
    """A file on its way back to its bytes before a run."""
    path = Path(event.data["file"])
    old, now = setup.backup(path, event.data["before"]), _now(path, kept=setup.folder / "backups")
    if now == old:
        reason = "is as before already"
    else:
        reason = "put back" if digest(now) == event.data["after"] else "put back over what was changed since"
    return FileChange(kind=_kind(event), path=path, before=now, after=old, reason=reason)


def _compared(setup: RunLog, change: FileChange, after: str) -> str:
    """Who changed what; without the bytes that the run wrote, as older records are, the difference alone."""
    try:
        left = setup.backup(change.path, after)
    except RunbookError:
        return change.diff()
    return three_way_diff(before=change.after, left=left, now=change.before, path=change.path, run_id=setup.run_id)


def _now(path: Path, *, kept: Path) -> bytes:
    if not path.exists():
        raise DocumentError(
            "The file is not there any more; nothing was written",
            where=pasteable(path),
            fix=f"copy it back from {kept}, where its bytes before that run are kept, then {inv('rollback')} again",
        )
    return read_document(path)


def _kind(event: RunEvent) -> Kind:
    """What the file holds; older records do not say, and then its name has to do."""
    is_dashboard = event.data.get("kind", "dashboard" if event.data["file"].endswith(".json") else "") == "dashboard"
    return "dashboard" if is_dashboard else "rules"


def _refuse_changed(plan: RollbackPlan) -> None:
    changed = plan.changed_since
    if changed:
        raise DocumentError(
            f"{counted(len(changed), 'file')} {'was' if len(changed) == 1 else 'were'} changed by somebody since run "
            f"{plan.run_id}; nothing was written",
            where=", ".join(pasteable(path) for path in changed),
            fix="undo by hand what the diff shows as changed by that run, or give the later changes up too "
            f"(the run keeps a copy): {inv(f'rollback --run {plan.run_id} --force')}",
        )


def _question(plan: RollbackPlan, target: Target) -> str:
    lost = ", give up what was changed since" if plan.changed_since else ""
    reload = f", {plan.reload}" if plan.reload else ""
    return f"Put back {counted(len(plan.changes), 'file')}{lost}{reload} on target {target.name}?"
