"""Look at an installation, propose the settings that differ from the defaults, and write them after one question."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runbook.commands.init.check import check_settings
from runbook.commands.init.containers import compose_folders, find_addresses, find_containers
from runbook.commands.init.files import find_files
from runbook.commands.init.options import InitOptions
from runbook.commands.init.result import FoundSetting, InitResult
from runbook.commands.init.services import ask_services, find_datasource, find_job, loaded_rules_file
from runbook.commands.init.survey import Found, Survey
from runbook.commands.init.toml_text import added_lines, must_be_bare, must_hold, whole_text, with_lines
from runbook.commands.run_context import RunContext
from runbook.commands.setting_warnings import setting_warnings
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError, UnreachableError, UsageError
from runbook.files.file_io import read_document, write_document
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.settings import SETTINGS_FILE, STACKS, load_target
from runbook.systems.docker.listing import Container, containers
from runbook.systems.docker.location import engine_location
from runbook.systems.runtime import Runtime
from runbook.wording import counted

_NO_ENGINE = "missing"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What `path` would hold; `before` is None where there is no such file."""

    path: Path
    before: bytes | None
    after: bytes
    diff: str
    found: tuple[Found, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be written."""
        return self.before == self.after


def init(context: RunContext, options: InitOptions) -> InitResult:
    """Propose the settings of the target and write them, or with `check` list those that it has.

    Exit code 0: written, printed, or nothing to add; 1: declined; 2: a dry run that would write; 3: nothing was found
    to propose anything from; 4: with `check`, a setting is wrong.
    """
    if options.check:
        return check_settings(context, options)
    task_run = TaskRun("init", context)
    survey: Survey | None = None
    try:
        survey = task_run.step("settings", 0, lambda: _begun(context))
        _look(task_run, survey)
        if not survey.is_anything_known:
            return _with(task_run.result(InitResult, "inconclusive", ExitCode.INCONCLUSIVE), survey)
        if options.print_:
            return _printed(task_run, survey, is_json=options.json)
        return _applied(task_run, survey, options)
    except RunbookError as error:
        failed = task_run.failure(InitResult, error)
        return _with(failed, survey) if survey else failed


def _applied(task_run: TaskRun, survey: Survey, options: InitOptions) -> InitResult:
    """Show what would be written, ask, and write it."""
    context = task_run.context
    proposal = task_run.step("proposal", 0, lambda: _proposed(context, survey))
    if proposal.is_empty:
        return _with(task_run.result(InitResult, "unchanged", ExitCode.OK), survey, proposal)
    context.screen.shows_diff(proposal.diff)
    if options.dry_run:
        return _with(task_run.result(InitResult, "pending", ExitCode.CHANGES_PENDING), survey, proposal)
    if not context.screen.confirm(_question(proposal)):
        return _with(task_run.declined(InitResult), survey, proposal)
    task_run.step("write", 0, lambda: _written(proposal))
    context.screen.says(f"next: {inv('init --check')}, then {inv('setup --dry-run')}")
    return _with(task_run.result(InitResult, "changed", ExitCode.OK), survey, proposal)


def _begun(context: RunContext) -> StepOutput[Survey]:
    """Read what is set already; a target that is new has the defaults."""
    name = context.target_name
    if name in STACKS:
        command = inv(STACKS[name][1])
        seen = f"The settings of target {name} are written by {command}"
        raise UsageError(seen, where="option --target", fix=f"{command}, or choose another target")
    must_be_bare(name)
    target = load_target(name, directory=context.directory, may_be_new=True)
    for warning in setting_warnings(target):
        context.warns(warning)
    sources = [group.source(key).kind for group in target.groups.values() for key in type(group).model_fields]
    is_set = len(sources) - sources.count("default")
    reason = f"target {name}: {counted(is_set, 'setting')} set already, by {SETTINGS_FILE} or by variables"
    return StepOutput(value=Survey(target=target), outcome="ok", reason=reason)


def _look(task_run: TaskRun, survey: Survey) -> None:
    """Look at the engine, the services and the files, each with what was found before."""
    runtime = task_run.context.runtime_of(survey.target)
    listed = task_run.look("containers", 0, lambda: _containers(survey, runtime))
    if listed:
        task_run.step("addresses", 0, lambda: _counted(survey, lambda: find_addresses(survey, runtime, listed)))
    task_run.step("services", 0, lambda: _services(survey))
    if listed == () and survey.answering:
        _without_containers(survey)
        runtime = task_run.context.runtime_of(survey.target)
    folders = _folders(task_run.context.directory, survey, listed or ())
    task_run.step("files", 0, lambda: _counted(survey, lambda: find_files(survey, runtime, folders)))


def _containers(survey: Survey, runtime: Runtime) -> StepOutput[tuple[Container, ...]]:
    """Return the containers of the engine; none where there is no engine, or where none plays a part.

    Raises RunbookError where the engine cannot be asked: then nobody knows.
    """
    settings = survey.target.runtime
    if settings.kind != "docker":
        return StepOutput(value=(), outcome="ok", reason=f"not looked at: the runtime is {settings.kind}")
    try:
        listed = containers(settings)
    except RunbookError as error:
        survey.met(error)
        is_absent = isinstance(error, UnreachableError) and error.reason == _NO_ENGINE
        if is_absent and not engine_location(settings).candidates:
            return StepOutput(value=(), outcome="not_checked", reason=error.seen)
        raise
    before = len(survey.unknown)
    find_containers(survey, runtime, listed)
    parts = sum(map(len, survey.remarks.values()))
    if not parts and not any("may be one of" in one.seen for one in survey.unknown[before:]):
        del survey.unknown[before:]
        fix = f"set {settings.place_of('docker_host')} to the engine that has them, or start them"
        survey.cannot_tell("No container of this engine plays a part", where=f"{len(listed)} containers", fix=fix)
        return StepOutput(value=(), outcome="ok", reason=f"none of {counted(len(listed), 'container')} plays a part")
    reason = f"{counted(parts, 'part')} in {counted(len(listed), 'container')}"
    evidence = tuple(Evidence(source=group, saw=remark) for group, said in survey.remarks.items() for remark in said)
    return StepOutput(value=listed, outcome="ok", reason=reason, evidence=evidence)


def _services(survey: Survey) -> StepOutput[None]:
    ask_services(survey)
    if "grafana" in survey.answering:
        find_datasource(survey)
    if "prometheus" in survey.answering:
        find_job(survey)
    reason = f"answering: {', '.join(survey.answering) or 'none'}"
    return StepOutput(value=None, outcome="ok", reason=reason)


def _without_containers(survey: Survey) -> None:
    """Services answer and no engine has them: an installation of files and addresses."""
    survey.finds("runtime", "kind", "none", "services answer, and no container of an engine plays a part")
    if not survey.target.runtime.is_managed and not survey.target.sink.log_file:
        survey.cannot_tell(
            "The log of the sink is not known",
            where="no engine can be asked",
            fix=f"set {survey.target.sink.place_of('log_file')} to the file that its output goes to",
        )


def _folders(directory: Path, survey: Survey, listed: Sequence[Container]) -> tuple[Path, ...]:
    """Return the folders in which the two files may stand."""
    loaded = None if listed else loaded_rules_file(survey)
    beside = (loaded.parent,) if loaded and loaded.is_file() else ()
    compose = compose_folders(listed)
    below = tuple(folder / "monitoring" for folder in compose)
    return tuple(dict.fromkeys((*beside, *compose, *below, directory / "monitoring", directory)))


def _counted(survey: Survey, look: Callable[[], None]) -> StepOutput[None]:
    """Do a look, and say how many settings and open questions came of it."""
    before = len(survey.found), len(survey.unknown)
    look()
    found, unknown = survey.found[before[0] :], survey.unknown[before[1] :]
    reason = f"{counted(len(found), 'setting')} found, {len(unknown)} not to be found out"
    evidence = tuple(Evidence(source=f"{one.group}.{one.key}", saw=f"{one.value}: {one.why}") for one in found)
    return StepOutput(value=None, outcome="ok", reason=reason, evidence=evidence)


def _proposed(context: RunContext, survey: Survey) -> StepOutput[Proposal]:
    path = context.directory / SETTINGS_FILE
    found = tuple(survey.found)
    if not path.exists():
        text = whole_text(survey)
        after = text.encode()
        proposal = Proposal(path=path, before=None, after=after, diff=added_lines("", text, path), found=found)
        return StepOutput(value=proposal, outcome="ok", reason=f"a new {path.name}, {counted(len(found), 'setting')}")
    before = read_document(path)
    mark = _BOM if before.startswith(_BOM) else b""
    old = before.decode("utf-8-sig")
    new = with_lines(old, survey.target, found)
    must_hold(old, new, survey.target, found, path)
    diff = added_lines(old, new, path)
    proposal = Proposal(path=path, before=before, after=mark + new.encode(), diff=diff, found=found)
    reason = f"{counted(len(found), 'setting')} to add to {path.name}"
    return StepOutput(value=proposal, outcome="ok" if found else "unchanged", reason=reason)


def _written(proposal: Proposal) -> StepOutput[None]:
    if proposal.before is None:
        try:
            with proposal.path.open("xb") as file:
                file.write(proposal.after)
        except FileExistsError:
            seen = "Somebody has written this file meanwhile; it was left as it is"
            raise RunbookError(seen, where=str(proposal.path), fix=inv("init")) from None
    else:
        write_document(proposal.path, proposal.before, proposal.after)
    return StepOutput(value=None, outcome="changed", reason=f"{proposal.path} is written")


def _printed(task_run: TaskRun, survey: Survey, *, is_json: bool) -> InitResult:
    """Print the whole proposal, unless a JSON document holds it."""
    if not is_json:
        sys.stdout.write(whole_text(survey))
        sys.stdout.flush()
    return _with(task_run.result(InitResult, "ok", ExitCode.OK), survey)


def _with(result: InitResult, survey: Survey, proposal: Proposal | None = None) -> InitResult:
    found = tuple(FoundSetting(group=one.group, key=one.key, value=str(one.value), why=one.why) for one in survey.found)
    diff = proposal.diff if proposal else None
    return replace(result, diff=diff, proposal=whole_text(survey), found=found, unknown=tuple(survey.unknown))


def _question(proposal: Proposal) -> str:
    verb = "Write" if proposal.before is None else "Add these lines to"
    return f"{verb} {proposal.path}?"
