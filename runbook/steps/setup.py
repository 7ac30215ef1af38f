"""Steps 0 to 3 of the runbook: plan, show, back up, write, restart, and wait until the change is *served*.

The plan that `--dry-run` prints is the object that apply executes. What does not come to be served is undone: the
old bytes are put back and the services restarted once more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runbook.clients.grafana import Grafana
from runbook.clients.runtime import Runtime
from runbook.documents.compare import Datasource
from runbook.documents.dashboard import plan_panels
from runbook.documents.desired import WantedPanels, wanted_panels, wanted_rules
from runbook.documents.plan import Plan
from runbook.documents.rules import plan_rules
from runbook.documents.wanted_rule import WantedRule
from runbook.documents.writing import read_document, write_document
from runbook.errors import ExitCode, RolledBackError, RunbookError
from runbook.interrupts import uninterrupted
from runbook.model import Evidence, TaskResult
from runbook.observer import Observer
from runbook.record import Record, digest, target_lock
from runbook.settings import Target
from runbook.steps.frame import Done, Frame
from runbook.steps.locating import Files, found_files
from runbook.steps.services import Services
from runbook.steps.serving import Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupOptions:
    """What `setup` was asked for; the paths override the settings of the target."""

    dashboard: Path | None = None
    rules: Path | None = None
    monitoring_dir: Path | None = None
    datasource_uid: str | None = None
    dry_run: bool = False
    restart: bool = True
    verbatim: bool = False
    strip_bom: bool = False
    with_absent_alert: bool = False
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """What will be written, and which services must be restarted for it to be served."""

    dashboard: Plan
    rules: Plan
    grafana: bool
    prometheus: bool

    @property
    def writes(self) -> tuple[Plan, ...]:
        """The files that change."""
        return tuple(plan for plan in (self.dashboard, self.rules) if plan.changed)

    @property
    def is_empty(self) -> bool:
        """Nothing to write and nothing to restart."""
        return not (self.writes or self.grafana or self.prometheus)

    @property
    def diff(self) -> str:
        """Both changes as one unified diff."""
        return "".join(plan.diff() for plan in self.writes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be in the files and to be served."""

    panels: WantedPanels
    rules: tuple[WantedRule, ...]


Confirm = Callable[[str], bool]


def setup(
    target: Target,
    options: SetupOptions,
    *,
    runtime: Runtime,
    state_dir: Path,
    record: Record,
    observer: Observer,
    confirm: Confirm,
) -> TaskResult:
    """Apply panels 20 and 21 and the alert rule to `target`, and prove them served.

    Exit code 0: served, or there was nothing to do; 1: refused, nothing was written; 2: a dry run with changes;
    6: not served in time, the files are as before.
    """
    frame = Frame("setup", target=target.name, record=record, observer=observer)
    plan: SetupPlan | None = None
    try:
        with target_lock(state_dir, target=target.name, task="setup"):
            files = frame.step("files", 0, lambda: _files(target, options, runtime))
            wanted = frame.step("datasource", 1, lambda: _wanted(target, options))
            services = Services(target, runtime, timeout_s=options.timeout_s)
            serving = Serving(target, services, wanted.panels, wanted.rules)
            plan = frame.step("plan", 1, lambda: _plan(files, wanted, options, serving))
            record.append("plan", {"diff": plan.diff})
            observer.shows_diff(plan.diff)
            for note in (*plan.dashboard.notes, *plan.rules.notes):
                observer.says(note)
            if plan.is_empty:
                return frame.result("unchanged", ExitCode.OK, diff="")
            if options.dry_run:
                return frame.result("pending", ExitCode.CHANGES_PENDING, diff=plan.diff)
            if not confirm(_question(plan, target)):
                return frame.result("pending", ExitCode.CHANGES_PENDING, diff=plan.diff)
            _apply(frame, plan, services, serving, options)
    except RunbookError as error:
        return frame.failure(error, diff=plan.diff if plan else None)
    return frame.result("changed", ExitCode.OK, diff=plan.diff)


def _files(target: Target, options: SetupOptions, runtime: Runtime) -> Done[Files]:
    files = found_files(
        target, runtime, dashboard=options.dashboard, rules=options.rules, monitoring_dir=options.monitoring_dir
    )
    return Done(value=files, outcome="ok", reason=f"{files.dashboard.name} and {files.rules.name}, {files.how}")


def _wanted(target: Target, options: SetupOptions) -> Done[Wanted]:
    """Ask Grafana for the uid of the datasource, unless it was given; without a restart Grafana may be away."""
    settings = target.grafana
    datasource, reason = Datasource(name=settings.datasource), "Grafana was not asked: the panels use its default"
    given = options.datasource_uid or settings.datasource_uid
    if given:
        datasource, reason = Datasource(uid=given, name=settings.datasource), f"uid {given}, as set"
    else:
        try:
            datasource = _asked_datasource(target)
            reason = f"{settings.datasource} has uid {datasource.uid} in this Grafana"
        except RunbookError:
            if options.restart:
                raise
    wanted = Wanted(
        panels=wanted_panels(datasource, verbatim=options.verbatim),
        rules=wanted_rules(with_absent_alert=options.with_absent_alert),
    )
    return Done(value=wanted, outcome="ok", reason=reason)


def _asked_datasource(target: Target) -> Datasource:
    settings = target.grafana
    sources = Grafana(settings).datasources()
    for source in sources:
        if source.name == settings.datasource:
            return Datasource(uid=source.uid, name=source.name, is_default=source.is_default)
    names = ", ".join(source.name for source in sources) or "none"
    raise RunbookError(
        f"Grafana has no datasource {settings.datasource!r}; it has: {names}",
        where=f"{settings.url}/api/datasources",
        fix="set RUNBOOK_GRAFANA_DATASOURCE to the name of the one for Prometheus, or provision it",
    )


def _plan(files: Files, wanted: Wanted, options: SetupOptions, serving: Serving) -> Done[SetupPlan]:
    dashboard = plan_panels(
        read_document(files.dashboard), wanted.panels, source=str(files.dashboard), strip_bom=options.strip_bom
    )
    rules = plan_rules(read_document(files.rules), wanted.rules, source=str(files.rules))
    plan = SetupPlan(
        dashboard=dashboard,
        rules=rules,
        grafana=options.restart and (dashboard.changed or not serving.panels_now().is_served),
        prometheus=options.restart and (rules.changed or not serving.rules_now().is_served),
    )
    evidence = (
        Evidence(source=dashboard.source, saw=dashboard.reason),
        Evidence(source=rules.source, saw=rules.reason),
    )
    if plan.is_empty:
        return Done(value=plan, outcome="unchanged", reason=f"{dashboard.reason}; {rules.reason}", evidence=evidence)
    restarts = [name for name, wanted_ in (("grafana", plan.grafana), ("prometheus", plan.prometheus)) if wanted_]
    reason = f"{len(plan.writes)} files to write, to restart: {', '.join(restarts) or 'nothing'}"
    return Done(value=plan, outcome="ok", reason=reason, evidence=evidence)


def _question(plan: SetupPlan, target: Target) -> str:
    services = [name for name, wanted in (("Grafana", plan.grafana), ("Prometheus", plan.prometheus)) if wanted]
    restarts = f" and restart {' and '.join(services)}" if services else ""
    return f"Write {len(plan.writes)} files{restarts} on target {target.name}?"


def _apply(frame: Frame, plan: SetupPlan, services: Services, serving: Serving, options: SetupOptions) -> None:
    """Write, restart, wait until served; undo everything if a write, a restart or the wait fails."""
    with uninterrupted():
        frame.step("back up", 1, lambda: _backed_up(frame.record, plan))
        frame.step("write", 1, lambda: _written(frame.record, plan))
    if not options.restart:
        return
    try:
        for service, is_wanted in ((services.grafana, plan.grafana), (services.prometheus, plan.prometheus)):
            if is_wanted:
                frame.step(f"restart {service.name}", 3, partial(services.restarted, service))
        frame.step("served by Grafana", 3, serving.panels_served)
        frame.step("loaded by Prometheus", 3, serving.rules_loaded)
    except RunbookError as error:
        if not plan.writes:
            raise
        raise _rolled_back(frame, plan, services, error) from None


def _backed_up(record: Record, plan: SetupPlan) -> Done[None]:
    copies = [record.back_up(Path(one.source), one.before) for one in plan.writes]
    evidence = tuple(
        Evidence(source=one.source, saw=f"kept as {copy}") for one, copy in zip(plan.writes, copies, strict=True)
    )
    return Done(value=None, outcome="ok", reason=f"{len(copies)} files kept in the record", evidence=evidence)


def _written(record: Record, plan: SetupPlan) -> Done[None]:
    """Write both files, or none: when the second fails, the first gets its old bytes back."""
    done: list[Plan] = []
    try:
        for one in plan.writes:
            write_document(Path(one.source), one.before, one.after)
            done.append(one)
    except RunbookError:
        for one in reversed(done):
            write_document(Path(one.source), one.after, one.before)
        raise
    if not done:
        return Done(value=None, outcome="unchanged", reason="the files are as wished already")
    for one in done:
        record.append("written", {"file": one.source, "before": digest(one.before), "after": digest(one.after)})
    return Done(value=None, outcome="changed", reason="; ".join(one.reason for one in done))


def _rolled_back(frame: Frame, plan: SetupPlan, services: Services, error: RunbookError) -> RolledBackError:
    """Put the old bytes back, restart what reads them, and say what had happened."""

    def undone() -> Done[None]:
        with uninterrupted():
            for one in reversed(plan.writes):
                write_document(Path(one.source), one.after, one.before)
        for service, plan_ in ((services.grafana, plan.dashboard), (services.prometheus, plan.rules)):
            if plan_.changed:
                services.restarted(service)
                services.answering(service)
        return Done(
            value=None, outcome="rolled_back", reason="the files are as before, and read again by their services"
        )

    try:
        frame.step("roll back", 3, undone)
    except RunbookError as second:
        return RolledBackError(
            f"{error.seen}. The files were put back, but then: {second.seen}",
            where=f"{error.where}; {second.where}",
            fix=f"{second.fix}; then inv troubleshoot",
        )
    return RolledBackError(f"{error.seen}. The files are as before", where=error.where, fix=error.fix)
