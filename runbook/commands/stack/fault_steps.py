"""Faults for practice: injected into the local stack and taken back. Any other target is refused."""

from collections.abc import Callable

from runbook.commands.run_context import RunContext
from runbook.commands.stack.options import BreakOptions, MendOptions
from runbook.commands.stack.result import StackResult
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError
from runbook.local_stack import fault_injection
from runbook.settings import LOCAL


def break_stack(context: RunContext, options: BreakOptions) -> StackResult:
    """Inject a fault; any target but the local stack is refused."""

    def work() -> StepOutput[None]:
        done = fault_injection.break_stack(context.directory, options.code, target=options.target or LOCAL)
        return StepOutput(value=None, outcome="changed", reason=done)

    return _carried_out("stack.break", context, work)


def mend_stack(context: RunContext, _options: MendOptions) -> StackResult:
    """Take the injected fault back."""

    def work() -> StepOutput[None]:
        undone = fault_injection.mend_stack(context.directory, context.screen)
        return StepOutput(value=None, outcome="changed", reason=", ".join(undone))

    return _carried_out("stack.mend", context, work)


def _carried_out(name: str, context: RunContext, work: Callable[[], StepOutput[None]]) -> StackResult:
    task_run = TaskRun(name, context)
    try:
        task_run.step(name, 0, work)
    except RunbookError as error:
        return task_run.failure(StackResult, error)
    return task_run.result(StackResult, task_run.steps[-1].outcome, ExitCode.OK)
