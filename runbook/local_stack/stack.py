"""The local stack: up, down, status, and single services started and stopped for practice."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from runbook.errors import LockedError, RunbookError, UsageError, WaitError
from runbook.interrupts import uninterrupted
from runbook.invocation import inv
from runbook.local_stack.ending import STOP_S, clear, end_all, say_kept
from runbook.local_stack.installation import copy_monitoring
from runbook.local_stack.kept_files import StackEnd, keep_changed, note_written
from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from runbook.local_stack.readiness import file_of
from runbook.local_stack.real import found_programs
from runbook.local_stack.service_spec import ServiceSpec, StackPlan, saved_plan
from runbook.local_stack.services import planned_stack
from runbook.local_stack.startup import await_ready, bring_up, missing_of
from runbook.local_stack.target import target_settings, toml
from runbook.local_stack.tools import found_tools
from runbook.locks import target_lock
from runbook.model import ServiceStatus
from runbook.observer import Observer
from runbook.settings import LOCAL, STATE_DIR
from runbook.systems.processes.launcher import STOPPED, Launcher, write_private
from runbook.waiting import Pending, wait_until

_LOCK_S = 1.0
_RESUMED_S = 10.0


def up(directory: Path, observer: Observer, *, real: frozenset[str] = frozenset()) -> tuple[ServiceStatus, ...]:
    """Bring the stack of a working directory up, or what is missing of it; return every service once all are ready.

    `real` names the services that the real programs play (real.REAL). A stack that is up keeps its programs: one that
    has not all that are wanted is refused with UsageError.
    Raises RunbookError if a service does not come up: it is named, the others run on, and the next `up` starts what is
    missing. Raises LockedError while another run works on the stack. An interrupt ends a stack that was not up before.
    """
    layout = Layout.of(directory)
    with _locked(directory):
        plan = saved_plan(layout) if layout.target.exists() else None
        if plan:
            _refuse_others(plan, real, layout)
            _complete(plan, layout, observer)
            return status(directory)
        try:
            plan = _prepared(layout, observer, real)
            failure = _started(plan.services, plan, layout, observer)
        except BaseException:
            with uninterrupted():
                end_all(layout)
                clear(layout, observer, keep_logs=True)
            raise
        if failure:
            raise failure
        return status(directory)


def down(directory: Path, observer: Observer) -> StackEnd:
    """End every process of the stack, also after a crash of `up`, and remove `.stack/`.

    Files in it that somebody has changed since `stack.up`, setup included, are kept and named. Raises RunbookError, and
    leaves the folder, where one cannot be kept.
    """
    layout = Layout.of(directory)
    with _locked(directory):
        has_run = end_all(layout)
        kept = clear(layout, observer, keep_logs=False)
    observer.says("the stack has been ended" if has_run else "nothing is running")
    return StackEnd(has_run=has_run, kept=kept)


def status(directory: Path) -> tuple[ServiceStatus, ...]:
    """Return every service of the stack as it is now; nothing if there is no stack."""
    layout = Layout.of(directory)
    plan = saved_plan(layout)
    launcher = Launcher(layout.root)
    return tuple(_service_status(service, launcher) for service in plan.services) if plan else ()


def missing(directory: Path) -> dict[str, str]:
    """Return what keeps each service that is not ready from it: ended, stopped by a signal, or no answer."""
    layout = Layout.of(directory)
    plan, launcher = saved_plan(layout), Launcher(layout.root)
    found = {service.name: missing_of(service, launcher) for service in plan.services} if plan else {}
    return {name: why for name, why in found.items() if why}


def stop_service(directory: Path, name: str, *, kill: bool = False) -> None:
    """End one service and leave it down: gently, or with SIGKILL."""
    layout = Layout.of(directory)
    _planned(layout, name)
    launcher = Launcher(layout.root)
    if kill:
        launcher.kill(name)
    else:
        launcher.stop([name], timeout_s=STOP_S)


def start_service(
    directory: Path,
    name: str,
    *,
    extra_env: Mapping[str, str] | None = None,
    extra_args: Sequence[str] = (),
) -> None:
    """Start one service again as it was planned, plus these options, and return at once.

    It keeps the options until it is started by this function again: without any, it is as `up` made it.
    """
    layout = Layout.of(directory)
    planned = _planned(layout, name).launch
    files = {key: path for key, path in planned.environment_files.items() if key not in (extra_env or {})}
    launch = replace(
        planned,
        command=(*planned.command, *extra_args),
        environment={**planned.environment, **(extra_env or {})},
        environment_files=files,
    )
    launcher = Launcher(layout.root)
    launcher.stop([name], timeout_s=STOP_S)
    launcher.start(name, launch)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock of target `local`.

    A child of a killed run holds its lock until it has become the program that it was made for: hence the patience.
    Who has the lock then finds that child by its mark.
    """
    with ExitStack() as held:
        refusals: list[LockedError] = []

        def lock() -> Pending | None:
            try:
                return held.enter_context(target_lock(directory / STATE_DIR, target=LOCAL))
            except LockedError as error:
                refusals.append(error)
                return Pending(error.seen)

        try:
            wait_until(lock, what="the lock", deadline_s=_LOCK_S, where="", fix="")
        except WaitError:
            raise refusals[-1] from None
        yield


def _complete(plan: StackPlan, layout: Layout, observer: Observer) -> None:
    """Start what is missing of a stack that was up before, and resume what a signal stopped. Raises RunbookError."""
    launcher = Launcher(layout.root)
    resumed = _resumed(plan, launcher, observer)
    lost = _lost(plan, launcher)
    if lost:
        failure = _started(lost, plan, layout, observer)
        if failure:
            raise failure
    elif not resumed:
        observer.says("the stack is up already; nothing was changed")


def _resumed(plan: StackPlan, launcher: Launcher, observer: Observer) -> list[str]:
    """Let the services run on that a signal has stopped, and give all of them a moment to be ready again.

    A service that is resumed keeps what it holds in memory: the mock broker its messages.
    """
    halted = [service.name for service in plan.services if _halted(service, launcher) == STOPPED]
    for name in halted:
        observer.says(f"{name} was {STOPPED}: it runs on")
        launcher.resume(name)

    def look() -> Pending | None:
        missing = [service.name for service in plan.services if missing_of(service, launcher)]
        return Pending(", ".join(missing)) if missing else None

    if halted:
        with suppress(WaitError):  # what is not ready by then is started again
            wait_until(look, what="the resumed services", deadline_s=_RESUMED_S, where="", fix="")
    return halted


def _halted(service: ServiceSpec, launcher: Launcher) -> str:
    record = launcher.record(service.name)
    return launcher.halted(record) if record else ""


def _started(lost: Sequence[ServiceSpec], plan: StackPlan, layout: Layout, observer: Observer) -> RunbookError | None:
    """Start the lost services and write the target; return what names those that did not come up. The others run."""
    if len(lost) < len(plan.services):
        observer.says(f"to be started again: {', '.join(service.name for service in lost)}")
    names = {service.name for service in lost}
    launcher = Launcher(layout.root)
    launcher.stop(names, timeout_s=STOP_S)
    dependents = [
        service for service in plan.services if service.name not in names and names.intersection(service.needs)
    ]
    failure = None
    try:
        bring_up(lost, ready={service.name for service in plan.services} - names, launcher=launcher, observer=observer)
        await_ready(dependents, launcher=launcher, observer=observer)
    except RunbookError as error:
        failure = error
    _write_target(plan, layout, observer)
    return failure


def _write_target(plan: StackPlan, layout: Layout, observer: Observer) -> None:
    """Write the settings of target `local`, also of a stack that is not whole: troubleshoot can then look at it."""
    say_kept(keep_changed(layout.root, layout.state_dir, [layout.target]), observer)
    write_private(layout.target, toml(target_settings(layout, plan.ports, found_tools(observer.says))))
    note_written(layout.root, layout.target)


def _refuse_others(plan: StackPlan, real: frozenset[str], layout: Layout) -> None:
    lacking = sorted(real - plan.real)
    if lacking:
        wanted = ",".join(f"{name}=real" for name in sorted(real | plan.real))
        raise UsageError(
            f"The local stack is up already, with stand-ins for {', '.join(lacking)}",
            where=str(layout.root),
            fix=f"{inv('stack.down')}, then {inv(f'stack.up --with {wanted}')}",
        )


def _prepared(layout: Layout, observer: Observer, real: frozenset[str]) -> StackPlan:
    """Make a fresh folder with the copied files and the plan; what an earlier stack left is ended first."""
    tools = found_tools(observer.says)
    programs = found_programs(real, observer.says)
    end_all(layout)
    clear(layout, observer, keep_logs=False)
    layout.data.mkdir(mode=0o700, parents=True)
    ports = Ports.free()
    copy_monitoring(layout, ports)
    note_written(layout.root, layout.monitoring)
    programs.prepare(layout, ports)
    plan = planned_stack(layout, ports, tools, programs)
    write_private(layout.plan, msgspec.json.encode(plan))
    return plan


def _lost(plan: StackPlan, launcher: Launcher) -> list[ServiceSpec]:
    """Return the services to start: not running or not ready, or started before one whose address they follow."""
    lost = {service.name for service in plan.services if missing_of(service, launcher)}
    lost |= {
        service.name
        for service in plan.services
        if lost.intersection(service.follows) or _is_outdated(service, launcher)
    }
    return [service for service in plan.services if service.name in lost]


def _is_outdated(service: ServiceSpec, launcher: Launcher) -> bool:
    own = launcher.record(service.name)
    followed = [launcher.record(name) for name in service.follows]
    return own is None or any(other is None or other.started_at > own.started_at for other in followed)


def _service_status(service: ServiceSpec, launcher: Launcher) -> ServiceStatus:
    record = launcher.record(service.name)
    process = launcher.process(record) if record else None
    halted = _halted(service, launcher)
    details = [service.detail] if service.detail else []
    if missing := missing_of(service, launcher):
        answers_not = process is not None and not halted
        details.append(f"not ready: {missing}" if answers_not else missing)
        details += [f"{inv('stack.up')} brings it back"] if halted else []
    if record and record.launch != service.launch:
        details.append("started with changed options")
    return ServiceStatus(
        name=service.name,
        plays=service.plays,
        kind=service.kind,
        running=process is not None and not halted,
        pid=process.pid if process else None,
        address=_address(service),
        detail="; ".join(details),
    )


def _address(service: ServiceSpec) -> str:
    """Return where it is; a service without a fixed address writes it into the file that says it is ready."""
    if service.address:
        return service.address
    path = file_of(service.ready)
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _planned(layout: Layout, name: str) -> ServiceSpec:
    plan = saved_plan(layout)
    if plan is None:
        raise UsageError("The local stack is not up", where=str(layout.root), fix=inv("stack.up"))
    try:
        return plan.service(name)
    except KeyError:
        names = ", ".join(service.name for service in plan.services)
        raise RunbookError(f"There is no service {name!r}", where=str(layout.plan), fix=f"use one of {names}") from None
