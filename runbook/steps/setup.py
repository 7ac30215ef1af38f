"""Steps 0 to 3 of the runbook: plan, show, back up, write, restart, and wait until the change is *served*.

The plan that `--dry-run` prints is the object that apply executes. What does not come to be served is undone: the
old bytes are put back and the services restarted once more. An interrupt is undone in the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runbook.clients.grafana import Grafana
from runbook.clients.http import shown_url
from runbook.clients.runtime import Runtime, Service
from runbook.documents.compare import Datasource
from runbook.documents.dashboard import as_numbered, plan_panels
from runbook.documents.desired import WantedPanels, wanted_panels, wanted_rules
from runbook.documents.plan import Plan
from runbook.documents.rules import plan_rules
from runbook.documents.wanted_rule import WantedRule
from runbook.documents.writing import read_document
from runbook.errors import ExitCode, RolledBackError, RunbookError
from runbook.interrupts import uninterrupted
from runbook.model import Evidence, TaskResult
from runbook.observer import Observer
from runbook.record import Record, target_lock
from runbook.settings import Target
from runbook.steps.frame import Done, Frame
from runbook.steps.locating import Files, found_files
from runbook.steps.replacing import Replacing
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
    renumber: bool = False
    move_alert: bool = False
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """What will be written, and which services must be restarted for it to be served."""

    dashboard: Plan
    rules: Plan
    restarts: tuple[Service, ...]

    @property
    def writes(self) -> tuple[Plan, ...]:
        """The files that change."""
        return tuple(plan for plan in (self.dashboard, self.rules) if plan.changed)

    @property
    def is_empty(self) -> bool:
        """Nothing to write and nothing to restart."""
        return not (self.writes or self.restarts)

    @property
    def diff(self) -> str:
        """Both changes as one unified diff."""
        return "".join(plan.diff() for plan in self.writes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be in the files and to be served."""

    panels: WantedPanels
    rules: tuple[WantedRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Both files planned, and our panels with the ids that they have there: what Grafana is to serve."""

    dashboard: Plan
    rules: Plan
    panels: WantedPanels


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
    replacing = Replacing.of(record, state_dir)
    try:
        with target_lock(state_dir, target=target.name, task="setup"):
            replacing.settle(frame, only_look=options.dry_run)
            files = frame.step("files", 0, lambda: _files(target, options, runtime))
            wanted = frame.step("datasource", 1, lambda: _wanted(target, options))
            services = Services(target, runtime, timeout_s=options.timeout_s)
            planned = frame.step("plan", 1, lambda: _planned(files, wanted, options))
            serving = Serving(target, services, planned.panels, wanted.rules)
            plan = frame.step("services", 1, lambda: _plan(planned, options, services, serving))
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
            change = _Application(
                frame=frame, plan=plan, services=services, serving=serving, replacing=replacing, options=options
            )
            change.apply()
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
        where=f"{shown_url(settings.url)}/api/datasources",
        fix="set RUNBOOK_GRAFANA_DATASOURCE to the name of the one for Prometheus, or provision it",
    )


def _planned(files: Files, wanted: Wanted, options: SetupOptions) -> Done[Planned]:
    """Plan both files; nothing outside them is asked."""
    before = read_document(files.dashboard)
    dashboard = plan_panels(
        before,
        wanted.panels,
        source=str(files.dashboard),
        strip_bom=options.strip_bom,
        renumber=options.renumber,
    )
    rules = plan_rules(read_document(files.rules), wanted.rules, source=str(files.rules), move_alert=options.move_alert)
    panels = as_numbered(dashboard.after, wanted.panels, source=str(files.dashboard))
    evidence = tuple(Evidence(source=one.source, saw=one.reason) for one in (dashboard, rules))
    planned = Planned(dashboard=dashboard, rules=rules, panels=panels)
    reason = f"{sum(one.changed for one in (dashboard, rules))} files to write"
    return Done(value=planned, outcome="ok", reason=reason, evidence=evidence)


def _plan(planned: Planned, options: SetupOptions, services: Services, serving: Serving) -> Done[SetupPlan]:
    """Decide what must be restarted. Whatever is needed later is asked now: nothing is written in vain."""
    dashboard, rules = planned.dashboard, planned.rules
    evidence: list[Evidence] = []
    restarts: tuple[Service, ...] = ()
    if options.restart:
        panels_now, rules_now = serving.panels_now(), serving.rules_now()
        evidence.append(Evidence(source=services.grafana.container, saw=panels_now.saw))
        evidence.append(Evidence(source=services.prometheus.container, saw=rules_now.saw))
        needed = (
            (services.grafana, dashboard.changed or not panels_now.is_served),
            (services.prometheus, rules.changed or not rules_now.is_served),
        )
        restarts = tuple(service for service, is_needed in needed if is_needed)
        for service in restarts:
            services.must_exist(service)
    plan = SetupPlan(dashboard=dashboard, rules=rules, restarts=restarts)
    if plan.is_empty:
        reason = f"{dashboard.reason}; {rules.reason}"
        return Done(value=plan, outcome="unchanged", reason=reason, evidence=tuple(evidence))
    reason = f"{len(plan.writes)} files to write, to restart: {_names(plan.restarts) or 'nothing'}"
    return Done(value=plan, outcome="ok", reason=reason, evidence=tuple(evidence))


def _question(plan: SetupPlan, target: Target) -> str:
    restarts = f" and restart {_names(plan.restarts)}" if plan.restarts else ""
    return f"Write {len(plan.writes)} files{restarts} on target {target.name}?"


def _names(services: tuple[Service, ...]) -> str:
    return " and ".join(service.name for service in services)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Application:
    """A plan on its way: what has been written and restarted so far can be undone."""

    frame: Frame
    plan: SetupPlan
    services: Services
    serving: Serving
    replacing: Replacing
    options: SetupOptions
    written: list[Plan] = field(default_factory=list)
    restarted: list[Service] = field(default_factory=list)

    def apply(self) -> None:
        """Write, restart, wait until served; undo all of it if that ends in any other way."""
        try:
            with uninterrupted():
                self.frame.step("back up", 1, lambda: self.replacing.kept(self.plan.writes))
                self.frame.step("write", 1, lambda: self.replacing.replaced(self.plan.writes))
                self.written.extend(self.plan.writes)
            for service in self.plan.restarts:
                self.restarted.append(service)
                self._restart(service)
            if self.options.restart:
                self.frame.step("served by Grafana", 3, self.serving.panels_served)
                self.frame.step("loaded by Prometheus", 3, self.serving.rules_loaded)
        except RunbookError as error:
            if not self.written:
                raise
            raise self._rolled_back(error) from None
        except BaseException:  # an interrupt, or a defect
            self._undo()
            raise

    def _restart(self, service: Service) -> None:
        self.frame.step(f"restart {service.name}", 3, partial(self.services.restarted, service))

    def _undo(self) -> None:
        """Put the old bytes back, and restart what may have read the new ones."""
        with uninterrupted():
            if self.written:
                self.frame.step("put back", 1, lambda: self.replacing.put_back(self.written))
                for service in self.restarted:
                    self._restart(service)

    def _rolled_back(self, error: RunbookError) -> RunbookError:
        """Undo, wait until the services answer, and return the error that says what came of it."""
        try:
            self._undo()
            for service in self.restarted:
                self.frame.step(f"{service.name} answers", 3, partial(self.services.answering, service))
        except RunbookError as second:
            is_back = any(step.outcome == "rolled_back" for step in self.frame.steps)
            return (RolledBackError if is_back else RunbookError)(
                f"{error.seen}. {'The files are as before, but then' if is_back else 'And then'}: {second.seen}",
                where=f"{error.where}; {second.where}; record {self.frame.record.folder}",
                fix=second.fix,
            )
        return RolledBackError(f"{error.seen}. The files are as before", where=error.where, fix=error.fix)
