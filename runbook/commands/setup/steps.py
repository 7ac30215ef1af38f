"""Steps 0 to 3 of the runbook: plan, show, back up, write, have it read, and wait until the change is *served*.

The plan that `--dry-run` prints is the object that apply executes. What does not come to be served is undone: the
old bytes are put back, read again, and proven to be served. An interrupt is undone in the same way.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from runbook.commands.apply.by_hand import services_of
from runbook.commands.apply.proofs import Proof, panels_proof, rules_proof
from runbook.commands.apply.rules_reach import refuse_unread
from runbook.commands.apply.services import Services, reload_plan
from runbook.commands.apply.steps import Apply, recover_files
from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import DocumentError, ExitCode, RunbookError
from runbook.files.compare import Datasource, Source, datasource_among
from runbook.files.desired import WantedPanels, wanted_panels, wanted_rules
from runbook.files.file_change import FileChange, Kind
from runbook.files.file_discovery import Files, found_files
from runbook.files.file_io import read_document, refuse_unwritable
from runbook.files.panels import as_numbered, plan_panels
from runbook.files.rules import plan_rules
from runbook.files.rules_validity import line_of, rules_problem
from runbook.files.wanted_rule import WantedRule
from runbook.invocation import inv
from runbook.locks import files_lock
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.grafana.client import Grafana
from runbook.systems.grafana.settings import GrafanaSettings
from runbook.systems.http import answer_s
from runbook.systems.runtime import Runtime, Service
from runbook.wording import counted, pasteable


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be in the files and to be served."""

    panels: WantedPanels
    rules: tuple[WantedRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """Both files, what is to be served of them, and the found services that must read their file again for it.

    `reload` says in words what is done to those.
    """

    dashboard: FileChange
    rules: FileChange
    wanted: Wanted
    readers: Mapping[Kind, Service] = field(default_factory=dict)
    reload: str = ""

    @property
    def changes(self) -> tuple[FileChange, FileChange]:
        """The change of each file, empty or not."""
        return self.dashboard, self.rules

    @property
    def writes(self) -> int:
        """How many files change."""
        return sum(not change.is_empty for change in self.changes)

    @property
    def is_empty(self) -> bool:
        """Nothing to write and nothing to be read again."""
        return not (self.writes or self.readers)

    @property
    def diff(self) -> str:
        """Both changes as one unified diff."""
        return "".join(change.diff() for change in self.changes)

    def __str__(self) -> str:
        """What will be done, with the containers by their own names: `write 2 files, restart aether-grafana`."""
        files = f"write {counted(self.writes, 'file')}" if self.writes else ""
        return ", ".join(part for part in (files, self.reload) if part)


def setup(context: RunContext, options: SetupOptions) -> SetupResult:
    """Apply panels 20 and 21 and the alert rule to the target, and prove them served.

    Exit code 0: served, or there was nothing to do; 1: refused or declined, nothing was written; 2: a dry run with
    changes; 6: not served in time, the files are as before, and so is what is served.
    """
    task_run = TaskRun("setup", context)
    target, runtime, screen = context.target, context.runtime, context.screen
    services = services_of(target, runtime, timeout_s=options.timeout_s, says=screen.says)
    plan: SetupPlan | None = None
    try:
        with ExitStack() as held:
            held.enter_context(context.locked())
            recover_files(task_run, only_look=options.dry_run)
            files = task_run.step("files", 0, lambda: _files(target, options, runtime))
            notes = held.enter_context(files_lock((files.dashboard, files.rules)))
            wanted = task_run.step("datasource", 1, lambda: _wanted(target, options))
            planned = task_run.step("plan", 1, lambda: _planned(target, files, wanted, options))
            plan = task_run.step("services", 1, lambda: _plan(planned, options, services))
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
            proofs = _proofs(services, plan) if options.restart else {}
            Apply(task_run, services, plan.changes, readers=plan.readers, proofs=proofs).run()
    except RunbookError as error:
        return replace(task_run.failure(SetupResult, error), diff=plan.diff if plan else None)
    return replace(task_run.result(SetupResult, "changed", ExitCode.OK), diff=plan.diff)


def _files(target: Target, options: SetupOptions, runtime: Runtime) -> StepOutput[Files]:
    files = found_files(
        target, runtime, dashboard=options.dashboard, rules=options.rules, monitoring_dir=options.monitoring_dir
    )
    return StepOutput(value=files, outcome="ok", reason=f"{files.dashboard.name} and {files.rules.name}, {files.how}")


def _wanted(target: Target, options: SetupOptions) -> StepOutput[Wanted]:
    """Ask Grafana for the datasource, also where its uid was given; without a restart Grafana may be away."""
    settings = target.grafana
    given = options.datasource_uid or settings.datasource_uid
    place = "--datasource-uid" if options.datasource_uid else settings.place_of("datasource_uid")
    try:
        sources = Grafana(settings, answer_s(options.timeout_s)).datasources()
    except RunbookError as error:
        if options.restart and not given:
            raise
        datasource = Datasource(uid=given or "", name=settings.datasource)
        reason = f"uid {given}, as set" if given else "its default is used"
        reason += f"; not checked, for Grafana did not say: {error.seen}"
    else:
        source = _of_uid(given, sources, settings, place) if given else _of_name(sources, settings)
        datasource = datasource_among(source, sources)
        reason = f"{source.name} has uid {source.uid} in this Grafana"
    wanted = Wanted(
        panels=wanted_panels(datasource, verbatim=options.verbatim, reset=options.reset_panels),
        rules=wanted_rules(with_absent_alert=options.with_absent_alert),
    )
    return StepOutput(value=wanted, outcome="ok", reason=reason)


def _of_name(sources: Sequence[Source], settings: GrafanaSettings) -> Source:
    for source in sources:
        if source.name == settings.datasource:
            return source
    names = ", ".join(source.name for source in sources) or "none"
    raise RunbookError(
        f"Grafana has no datasource {settings.datasource!r}; it has: {names}",
        where=f"{settings.url}/api/datasources",
        fix=f"set {settings.place_of('datasource')} to the name of the one for Prometheus, or provision it",
    )


def _of_uid(uid: str, sources: Sequence[Source], settings: GrafanaSettings, place: str) -> Source:
    """Return the datasource of the uid that `place` sets. Raises RunbookError, before anything is written."""
    for source in sources:
        if source.uid == uid:
            return source
    known = ", ".join(f"{source.uid} ({source.name})" for source in sources) or "none"
    raise RunbookError(
        f"Grafana has no datasource with uid {uid!r}; it has: {known}",
        where=f"{settings.url}/api/datasources",
        fix=f"give {place} one of these uids, or leave it out: then the datasource {settings.datasource!r} is taken",
    )


def _planned(target: Target, files: Files, wanted: Wanted, options: SetupOptions) -> StepOutput[SetupPlan]:
    """Plan both files; nothing outside them is asked."""
    dashboard = plan_panels(
        read_document(files.dashboard),
        wanted.panels,
        path=files.dashboard,
        strip_bom=options.strip_bom,
        renumber=options.renumber,
    )
    rules = plan_rules(read_document(files.rules), wanted.rules, path=files.rules, move_alert=options.move_alert)
    _refuse_invalid(target, rules)
    panels = as_numbered(dashboard.after, wanted.panels, path=files.dashboard)
    plan = SetupPlan(dashboard=dashboard, rules=rules, wanted=replace(wanted, panels=panels))
    evidence = tuple(Evidence(source=pasteable(one.path), saw=one.reason) for one in plan.changes)
    return StepOutput(value=plan, outcome="ok", reason=f"{counted(plan.writes, 'file')} to write", evidence=evidence)


def _refuse_invalid(target: Target, rules: FileChange) -> None:
    """Raise DocumentError for a rules file that Prometheus would refuse as a whole, with ours in it or without."""
    problem = rules_problem(rules.after, target.prometheus.promtool)
    if not problem:
        return
    is_older = bool(rules_problem(rules.before, target.prometheus.promtool))
    line = line_of(problem) if is_older else None
    newer = f"; if Prometheus itself takes it, set {target.prometheus.place_of('promtool')} to its own promtool"
    raise DocumentError(
        f"Prometheus would refuse this rules file, and with it every rule in it: {problem}",
        where=f"{pasteable(rules.path)}:{line}" if line else pasteable(rules.path),
        fix=f"correct it, then {inv('setup')}{newer if problem.startswith('promtool') else ''}",
    )


def _plan(planned: SetupPlan, options: SetupOptions, services: Services) -> StepOutput[SetupPlan]:
    """Decide who must read again. Whatever is needed later is asked now: nothing is written in vain."""
    evidence: list[Evidence] = []
    needed: list[Kind] = []
    for change in planned.changes:
        if not (change.is_empty or options.dry_run):
            refuse_unwritable(change.path)
    if options.restart:
        for proof, change in zip(_proofs(services, planned).values(), planned.changes, strict=True):
            served = proof.look()
            evidence.append(Evidence(source=f"GET {proof.url}", saw=served.saw))
            if change.kind and not (change.is_empty and served.is_served):
                needed.append(change.kind)
    readers = {kind: services.found(kind) for kind in needed}
    if "rules" in needed:
        refuse_unread(services.target, services.runtime, planned.rules.path, options.timeout_s)
    plan = replace(planned, readers=readers, reload=reload_plan(services, readers))
    if plan.is_empty:
        reason = "; ".join(change.reason for change in plan.changes)
        return StepOutput(value=plan, outcome="unchanged", reason=reason, evidence=tuple(evidence))
    return StepOutput(value=plan, outcome="ok", reason=f"to do: {plan}", evidence=tuple(evidence))


def _proofs(services: Services, plan: SetupPlan) -> dict[Kind, Proof]:
    """What must be served afterwards; where it is already, nothing needs to be read again."""
    target, timeout_s = services.target, services.timeout_s
    return {
        "dashboard": panels_proof(target, plan.wanted.panels, timeout_s),
        "rules": rules_proof(target, plan.wanted.rules, plan.rules, timeout_s),
    }


def _question(plan: SetupPlan, target: Target) -> str:
    text = str(plan)
    return f"{text[0].upper()}{text[1:]} on target {target.name}?"
