"""The files as they were before a recorded setup, read again by their services."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from runbook.clients.runtime import Runtime, Service
from runbook.documents.plan import Plan
from runbook.documents.writing import read_document
from runbook.errors import DocumentError, ExitCode, RunbookError
from runbook.interrupts import uninterrupted
from runbook.model import Evidence, TaskResult
from runbook.observer import Observer
from runbook.record import Event, Record, all_records, digest, open_record, target_lock
from runbook.settings import Target
from runbook.steps.frame import Done, Frame
from runbook.steps.replacing import REPLACES, Replacing
from runbook.steps.services import Services
from runbook.steps.setup import Confirm


def rollback(
    target: Target,
    *,
    runtime: Runtime,
    state_dir: Path,
    record: Record,
    observer: Observer,
    confirm: Confirm,
    run_id: str | None = None,
    timeout_s: float = 120.0,
) -> TaskResult:
    """Put back what the setup `run_id` (None: the last one that wrote) changed, and restart the services.

    Refused, with no file touched, when somebody changed a file since that setup, or a service to restart is not there.
    """
    frame = Frame("rollback", target=target.name, record=record, observer=observer)
    services = Services(target, runtime, timeout_s=timeout_s)
    replacing = Replacing.of(record, state_dir)
    try:
        with target_lock(state_dir, target=target.name, task="rollback"):
            replacing.settle(frame)
            plans = frame.step("plan", 1, lambda: _plans(_setup_record(state_dir, target, run_id)))
            diff = "".join(plan.diff() for plan in plans)
            observer.shows_diff(diff)
            if not plans:
                return frame.result("unchanged", ExitCode.OK, diff="")
            readers = _readers(services, plans)
            for service in readers:
                services.must_exist(service)
            names = " and ".join(service.name for service in readers)
            if not confirm(f"Put {len(plans)} files back and restart {names} on target {target.name}?"):
                return frame.result("pending", ExitCode.CHANGES_PENDING, diff=diff)
            with uninterrupted():
                frame.step("back up", 1, lambda: replacing.kept(plans))
                frame.step("write", 1, lambda: replacing.replaced(plans))
                for service in readers:
                    frame.step(f"restart {service.name}", 3, partial(services.restarted, service))
            for service in readers:
                frame.step(f"{service.name} answers", 3, partial(services.answering, service))
    except RunbookError as error:
        return frame.failure(error)
    return frame.result("changed", ExitCode.OK, diff=diff)


def _readers(services: Services, plans: Sequence[Plan]) -> tuple[Service, ...]:
    """Return who reads what is put back: Grafana the dashboard, which is JSON, Prometheus the rules."""
    suffixes = {Path(plan.source).suffix == ".json" for plan in plans}
    wanted = ((services.grafana, True in suffixes), (services.prometheus, False in suffixes))
    return tuple(service for service, is_wanted in wanted if is_wanted)


def _setup_record(state_dir: Path, target: Target, run_id: str | None) -> Record:
    if run_id:
        found: Record | None = open_record(state_dir, run_id, target=target.name)
    else:
        found = _last_setup(state_dir, target)
    if found is None or not found.events(REPLACES):
        raise RunbookError(
            f"No setup on target {target.name!r} has written anything" if found is None else "That run wrote no file",
            where=str(found.folder if found else state_dir / "runs"),
            fix="inv history lists the runs; there is nothing to put back",
        )
    return found


def _last_setup(state_dir: Path, target: Target) -> Record | None:
    """Return the newest run that wrote; what a rollback wrote is not rolled back unasked."""
    for record in reversed(all_records(state_dir)):
        if record.target == target.name and record.task != "rollback" and record.events(REPLACES):
            return record
    return None


def _plans(setup: Record) -> Done[tuple[Plan, ...]]:
    plans = tuple(_plan(setup, event) for event in setup.events(REPLACES))
    changing = tuple(plan for plan in plans if plan.changed)
    evidence = tuple(Evidence(source=plan.source, saw=plan.reason) for plan in plans)
    if not changing:
        return Done(value=(), outcome="unchanged", reason=f"as before run {setup.run_id} already", evidence=evidence)
    reason = f"{len(changing)} files as before run {setup.run_id}"
    return Done(value=changing, outcome="ok", reason=reason, evidence=evidence)


def _plan(setup: Record, event: Event) -> Plan:
    path, before, after = Path(event.data["file"]), event.data["before"], event.data["after"]
    now, old = read_document(path), setup.backup(path, before)
    if digest(now) not in {before, after}:
        raise DocumentError(
            f"The file was changed by somebody since run {setup.run_id}",
            where=str(path),
            fix=f"undo the change by hand; the bytes before that run are kept in {setup.folder / 'backups'}",
        )
    return Plan(source=str(path), before=now, after=old, reason="put back" if now != old else "is as before already")
