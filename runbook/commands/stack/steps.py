"""The commands of the local stacks: target `local` (processes) and target `docker` (containers)."""

from collections.abc import Callable
from dataclasses import replace

from runbook.commands.run_context import RunContext
from runbook.commands.stack.options import StackOptions, UpOptions
from runbook.commands.stack.result import StackResult
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError, UsageError
from runbook.invocation import inv
from runbook.local_stack import docker_stack, stack
from runbook.local_stack.real import all_there_is, wanted_real
from runbook.model import ServiceStatus
from runbook.settings import DOCKER, LOCAL
from runbook.systems.docker.location import engine_location
from runbook.systems.runtime_settings import RuntimeSettings
from runbook.wording import counted

SCRAPE_NOTE = "scrape and evaluation every 2 s here, 10 s in a real installation"

Services = tuple[ServiceStatus, ...] | None


def up(context: RunContext, options: UpOptions) -> StackResult:
    """Start the stack, or what is missing of it; where a service does not come up, the others run on and are shown."""
    result = _carried_out("stack.up", context, lambda: (_containers_up if options.docker else _up)(context, options))
    if result.exit_code != ExitCode.PROBLEM:
        return result
    return replace(result, parts=(docker_stack if options.docker else stack).status(context.directory) or None)


def down(context: RunContext, options: StackOptions) -> StackResult:
    """End everything that belongs to the stack; what somebody has changed of its files is kept and named."""

    def work() -> StepOutput[Services]:
        end = (docker_stack if options.docker else stack).down(context.directory, context.screen)
        reason = f"no {'container' if options.docker else 'process'} of the stack is left"
        if end.kept:
            reason += f"; {counted(len(end.kept), 'file')} that differed from what stack.up wrote kept"
        evidence = tuple(one.evidence for one in end.kept)
        return StepOutput(
            value=None, outcome="changed" if end.has_run else "unchanged", reason=reason, evidence=evidence
        )

    return _carried_out("stack.down", context, work)


def status(context: RunContext, options: StackOptions) -> StackResult:
    """Show every service; exit code 1 when one of them does not run, is not ready, or is missing."""

    def work() -> StepOutput[Services]:
        services = (docker_stack if options.docker else stack).status(context.directory)
        if not services:
            fix = inv("stack.up --docker" if options.docker else "stack.up")
            raise UsageError("The local stack is not up", where=str(context.directory), fix=fix)
        running = {service.name for service in services if service.running}
        wanted = docker_stack.services(context.directory) if options.docker else [one.name for one in services]
        down = [name for name in wanted if name not in running]
        silent = [] if options.docker else [name for name in stack.missing(context.directory) if name in running]
        named = {"not running": down, "not ready": silent}
        problems = [f"{what}: {', '.join(names)}" for what, names in named.items() if names]
        reason = "; ".join(problems) or f"{len(services)} services run"
        reason += f"; {engine_location(RuntimeSettings()).where}" if options.docker else ""
        return StepOutput(value=services, outcome="failed" if problems else "ok", reason=reason)

    return _carried_out("stack.status", context, work)


def _up(context: RunContext, options: UpOptions) -> StepOutput[Services]:
    names = wanted_real(options.with_) if options.with_ else frozenset()
    found = all_there_is(context.screen.says) if options.real else frozenset()
    services = stack.up(context.directory, context.screen, real=names | found)
    use = f"use it with --target {LOCAL}: {inv('setup', target=LOCAL)}"
    return StepOutput(value=services, outcome="ok", reason=f"{len(services)} services are up; {SCRAPE_NOTE}; {use}")


def _containers_up(context: RunContext, options: UpOptions) -> StepOutput[Services]:
    if options.with_ or options.real:
        raise UsageError(
            "--with and --real choose programs of the stack without Docker; in containers the images decide",
            where=f"option --docker beside {'--with' if options.with_ else '--real'}",
            fix=f"name the image: KAFKA_IMAGE=IMAGE {inv('stack.up --docker')}; see docs/DOCKER.md, Images",
        )
    path = docker_stack.up(context.directory, context.screen)
    reason = f"target {DOCKER} is up, its settings are in {path}; use it: {inv('setup', target=DOCKER)}"
    return StepOutput(value=None, outcome="changed", reason=reason)


def _carried_out(name: str, context: RunContext, work: Callable[[], StepOutput[Services]]) -> StackResult:
    task_run = TaskRun(name, context)
    try:
        services = task_run.step(name, 0, work)
    except RunbookError as error:
        return task_run.failure(StackResult, error)
    outcome = task_run.steps[-1].outcome
    code = ExitCode.PROBLEM if outcome == "failed" else ExitCode.OK
    return replace(task_run.result(StackResult, outcome, code), parts=services)
