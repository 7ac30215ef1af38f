"""The files as they were before a recorded setup, read again by their services, and proven to be served."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from runbook.commands.apply.applying import Applying, Part
from runbook.commands.apply.replacing import Replacing
from runbook.commands.apply.rereading import Rereading
from runbook.commands.apply.restored import Restored
from runbook.commands.apply.services import Services
from runbook.commands.rollback.options import RollbackOptions
from runbook.commands.rollback.result import RollbackResult
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import DocumentError, ExitCode, RunbookError
from runbook.files.file_change import Kind, Plan
from runbook.files.file_io import read_document
from runbook.files.three_way_diff import three_way_diff
from runbook.locks import files_lock
from runbook.model import Evidence
from runbook.runs.run_history import newest_change, open_run, write_outcome
from runbook.runs.run_log import REPLACES, RunEvent, RunLog, digest
from runbook.settings import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Return:
    """A file on its way back; `three_way` tells who changed what, if somebody has changed it since."""

    plan: Plan
    three_way: str = ""

    @property
    def diff(self) -> str:
        return self.three_way or self.plan.diff()


def rollback(context: RunContext, options: RollbackOptions) -> RollbackResult:
    """Put back what a setup changed, have it read again, and prove that the old state is served.

    Refused, with no file touched, when a service that must read it is not there, or when somebody changed a file since
    that setup; `force` gives their change up (the run keeps a copy). What does not come to be served is undone.
    """
    task_run = TaskRun("rollback", context)
    target, runtime, screen = context.target, context.runtime, context.screen
    services = Services(target, runtime, timeout_s=options.timeout_s)
    replacing = Replacing.of(context.run_log, context.state_dir)
    diff: str | None = None
    try:
        with ExitStack() as held:
            held.enter_context(context.locked())
            replacing.settle(task_run)
            setup = _setup_log(context, options.run_id)
            for note in held.enter_context(files_lock([Path(event.data["file"]) for event in setup.events(REPLACES)])):
                screen.says(note)
            returns = task_run.step("plan", 1, lambda: _returns(setup))
            diff = "".join(one.diff for one in returns)
            screen.shows_diff(diff)
            if not returns:
                return replace(task_run.result(RollbackResult, "unchanged", ExitCode.OK), diff="")
            if not options.force:
                _refuse_changed(returns, setup)
            restored = Restored(target=target, services=services)
            parts = tuple(_part(one.plan, services, restored, is_read=options.restart) for one in returns)
            for part in parts:
                if part.is_reread:
                    services.must_exist(part.service)
            if not screen.confirm(_question(returns, parts, target)):
                return replace(task_run.declined(RollbackResult), diff=diff)
            rereading = Rereading(target=target, runtime=runtime, services=services)
            Applying(
                task_run=task_run, replacing=replacing, rereading=rereading, restored=restored, parts=parts
            ).apply()
    except RunbookError as error:
        return replace(task_run.failure(RollbackResult, error), diff=diff)
    return replace(task_run.result(RollbackResult, "changed", ExitCode.OK), diff=diff)


def _setup_log(context: RunContext, run_id: str | None) -> RunLog:
    target, state_dir = context.target, context.state_dir
    if run_id:
        found: RunLog | None = open_run(state_dir, run_id, target=target.name)
    else:
        newest = newest_change(state_dir, _stands, target=target.name)
        for damaged in newest.passed_over:
            context.screen.says(str(damaged))
        found = newest.run_log
    if found is None or not found.events(REPLACES):
        raise RunbookError(
            f"No setup on target {target.name!r} has written anything" if found is None else "That run wrote no file",
            where=str(found.folder if found else state_dir / "runs"),
            fix="inv history lists the runs; there is nothing to put back",
        )
    return found


def _stands(events: Sequence[RunEvent]) -> bool:
    """Whether a change is to be put back: the files decide where the write did not come to its end.

    One that failed has left them as they were; so may one that was killed, or the command that came next.
    """
    outcome = write_outcome(events)
    changes = [event.data for event in events if event.kind == REPLACES]
    if outcome == "changed":
        return True
    if outcome == "failed":
        return any(_digest_now(change["file"]) == change["after"] for change in changes)
    return any(_digest_now(change["file"]) != change["before"] for change in changes)


def _digest_now(file: str) -> str:
    """Return the digest of a file; empty if it cannot be read."""
    try:
        return digest(read_document(Path(file)))
    except RunbookError:
        return ""


def _returns(setup: RunLog) -> StepOutput[tuple[_Return, ...]]:
    found = tuple(_return(setup, event) for event in setup.events(REPLACES))
    changing = tuple(one for one in found if one.plan.changed)
    evidence = tuple(Evidence(source=one.plan.source, saw=one.plan.reason) for one in found)
    if not changing:
        return StepOutput(
            value=(), outcome="unchanged", reason=f"as before run {setup.run_id} already", evidence=evidence
        )
    reason = f"{len(changing)} files as before run {setup.run_id}"
    return StepOutput(value=changing, outcome="ok", reason=reason, evidence=evidence)


def _return(setup: RunLog, event: RunEvent) -> _Return:
    path, before, after = Path(event.data["file"]), event.data["before"], event.data["after"]
    old = setup.backup(path, before)
    now = _now(path, kept=setup.folder / "backups")
    plan = Plan(kind=_kind(event), source=str(path), before=now, after=old, reason="put back")
    if now == old:
        return _Return(plan=replace(plan, reason="is as before already"))
    if digest(now) == after:
        return _Return(plan=plan)
    return _Return(
        plan=replace(plan, reason="put back over what was changed since"),
        three_way=_compared(setup, plan, after),
    )


def _compared(setup: RunLog, plan: Plan, after: str) -> str:
    """Who changed what; without the bytes that the run wrote, as older records are, the difference alone."""
    path = Path(plan.source)
    try:
        left = setup.backup(path, after)
    except RunbookError:
        return plan.diff()
    return three_way_diff(before=plan.after, left=left, now=plan.before, source=plan.source, run_id=setup.run_id)


def _now(path: Path, *, kept: Path) -> bytes:
    if not path.exists():
        raise DocumentError(
            "The file is not there any more; nothing was written",
            where=str(path),
            fix=f"copy it back from {kept}, where its bytes before that run are kept, then inv rollback again",
        )
    return read_document(path)


def _kind(event: RunEvent) -> Kind:
    """What the file holds; older records do not say, and then its name has to do."""
    is_dashboard = event.data.get("kind", "dashboard" if event.data["file"].endswith(".json") else "") == "dashboard"
    return "dashboard" if is_dashboard else "rules"


def _refuse_changed(returns: Sequence[_Return], setup: RunLog) -> None:
    changed = [one.plan.source for one in returns if one.three_way]
    if changed:
        raise DocumentError(
            f"{len(changed)} of the files were changed by somebody since run {setup.run_id}; nothing was written",
            where=", ".join(changed),
            fix="undo by hand what the diff shows as changed by that run, or give the later changes up too "
            f"(the record keeps a copy): inv rollback --run {setup.run_id} --force",
        )


def _part(plan: Plan, services: Services, restored: Restored, *, is_read: bool) -> Part:
    service = services.grafana if plan.kind == "dashboard" else services.prometheus
    proof = (f"{service.name} serves the old state", restored.proof(service, plan))
    return Part(service=service, plan=plan, is_reread=is_read, proof=proof if is_read else None)


def _question(returns: Sequence[_Return], parts: Sequence[Part], target: Target) -> str:
    lost = " and give up what was changed since" if any(one.three_way for one in returns) else ""
    names = " and ".join(part.service.name for part in parts if part.is_reread)
    read = f", read again by {names}," if names else ""
    return f"Put {len(returns)} files back{lost}{read} on target {target.name}?"
