"""Steps 0 to 3 of the runbook: plan, show, back up, write, have it read, and wait until the change is *served*.

The plan that `--dry-run` prints is the object that apply executes. What does not come to be served is undone: the
old bytes are put back, read again, and proven to be served. An interrupt is undone in the same way.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace

from runbook.commands.apply.applying import Applying, Part
from runbook.commands.apply.replacing import Replacing
from runbook.commands.apply.rereading import Rereading
from runbook.commands.apply.restored import Restored
from runbook.commands.apply.services import Services
from runbook.commands.apply.serving import Serving
from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError
from runbook.files.compare import Datasource
from runbook.files.desired import WantedPanels, wanted_panels, wanted_rules
from runbook.files.file_change import Plan
from runbook.files.file_discovery import Files, found_files
from runbook.files.file_io import read_document
from runbook.files.panels import as_numbered, plan_panels
from runbook.files.rules import plan_rules
from runbook.files.wanted_rule import WantedRule
from runbook.locks import files_lock
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.grafana.client import Grafana
from runbook.systems.http import shown_url
from runbook.systems.runtime import Runtime, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """What will be written, and which services must read it again for it to be served."""

    dashboard: Plan
    rules: Plan
    rereads: tuple[Service, ...]

    @property
    def writes(self) -> tuple[Plan, ...]:
        """The files that change."""
        return tuple(plan for plan in (self.dashboard, self.rules) if plan.changed)

    @property
    def is_empty(self) -> bool:
        """Nothing to write and nothing to be read again."""
        return not (self.writes or self.rereads)

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


def setup(context: RunContext, options: SetupOptions) -> SetupResult:
    """Apply panels 20 and 21 and the alert rule to the target, and prove them served.

    Exit code 0: served, or there was nothing to do; 1: refused or declined, nothing was written; 2: a dry run with
    changes; 6: not served in time, the files are as before, and so is what is served.
    """
    task_run = TaskRun("setup", context)
    target, runtime, screen = context.target, context.runtime, context.screen
    plan: SetupPlan | None = None
    replacing = Replacing.of(context.run_log, context.state_dir)
    try:
        with ExitStack() as held:
            held.enter_context(context.locked())
            replacing.settle(task_run, only_look=options.dry_run)
            files = task_run.step("files", 0, lambda: _files(target, options, runtime))
            notes = held.enter_context(files_lock((files.dashboard, files.rules)))
            wanted = task_run.step("datasource", 1, lambda: _wanted(target, options))
            services = Services(target, runtime, timeout_s=options.timeout_s)
            planned = task_run.step("plan", 1, lambda: _planned(files, wanted, options))
            serving = Serving(target, services, planned.panels, wanted.rules)
            plan = task_run.step("services", 1, lambda: _plan(planned, options, services, serving))
            context.run_log.append("plan", {"diff": plan.diff})
            screen.shows_diff(plan.diff)
            for note in (*files.links, *notes, *plan.dashboard.notes, *plan.rules.notes):
                screen.says(note)
            if plan.is_empty:
                return replace(task_run.result(SetupResult, "unchanged", ExitCode.OK), diff="")
            if options.dry_run:
                return replace(task_run.result(SetupResult, "pending", ExitCode.CHANGES_PENDING), diff=plan.diff)
            if not screen.confirm(_question(plan, target)):
                return replace(task_run.declined(SetupResult), diff=plan.diff)
            Applying(
                task_run=task_run,
                replacing=replacing,
                rereading=Rereading(target=target, runtime=runtime, services=services),
                restored=Restored(target=target, services=services),
                parts=_parts(plan, services, serving, is_served=options.restart),
            ).apply()
    except RunbookError as error:
        return replace(task_run.failure(SetupResult, error), diff=plan.diff if plan else None)
    return replace(task_run.result(SetupResult, "changed", ExitCode.OK), diff=plan.diff)


def _files(target: Target, options: SetupOptions, runtime: Runtime) -> StepOutput[Files]:
    files = found_files(
        target, runtime, dashboard=options.dashboard, rules=options.rules, monitoring_dir=options.monitoring_dir
    )
    return StepOutput(value=files, outcome="ok", reason=f"{files.dashboard.name} and {files.rules.name}, {files.how}")


def _wanted(target: Target, options: SetupOptions) -> StepOutput[Wanted]:
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
    return StepOutput(value=wanted, outcome="ok", reason=reason)


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


def _planned(files: Files, wanted: Wanted, options: SetupOptions) -> StepOutput[Planned]:
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
    return StepOutput(value=planned, outcome="ok", reason=reason, evidence=evidence)


def _plan(planned: Planned, options: SetupOptions, services: Services, serving: Serving) -> StepOutput[SetupPlan]:
    """Decide who must read again. Whatever is needed later is asked now: nothing is written in vain."""
    dashboard, rules = planned.dashboard, planned.rules
    evidence: list[Evidence] = []
    rereads: tuple[Service, ...] = ()
    if options.restart:
        panels_now, rules_now = serving.panels_now(), serving.rules_now()
        evidence.append(Evidence(source=services.grafana.container, saw=panels_now.saw))
        evidence.append(Evidence(source=services.prometheus.container, saw=rules_now.saw))
        needed = (
            (services.grafana, dashboard.changed or not panels_now.is_served),
            (services.prometheus, rules.changed or not rules_now.is_served),
        )
        rereads = tuple(service for service, is_needed in needed if is_needed)
        for service in rereads:
            services.must_exist(service)
    plan = SetupPlan(dashboard=dashboard, rules=rules, rereads=rereads)
    if plan.is_empty:
        reason = f"{dashboard.reason}; {rules.reason}"
        return StepOutput(value=plan, outcome="unchanged", reason=reason, evidence=tuple(evidence))
    reason = f"{len(plan.writes)} files to write, to be read by: {_names(plan.rereads) or 'nothing'}"
    return StepOutput(value=plan, outcome="ok", reason=reason, evidence=tuple(evidence))


def _question(plan: SetupPlan, target: Target) -> str:
    readers = f", read again by {_names(plan.rereads)}," if plan.rereads else ""
    return f"Write {len(plan.writes)} files{readers} on target {target.name}?"


def _names(services: tuple[Service, ...]) -> str:
    return " and ".join(service.name for service in services)


def _parts(plan: SetupPlan, services: Services, serving: Serving, *, is_served: bool) -> tuple[Part, ...]:
    """Return both files with their readers; with `--no-restart` nobody reads them now."""
    parts = (
        (services.grafana, plan.dashboard, ("served by Grafana", serving.panels_served)),
        (services.prometheus, plan.rules, ("loaded by Prometheus", serving.rules_loaded)),
    )
    return tuple(
        Part(service=service, plan=file, is_reread=service in plan.rereads, proof=proof if is_served else None)
        for service, file, proof in parts
    )
