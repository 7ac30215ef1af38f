"""Faults for practice: injected into the local stack, and undone. Any other target is refused."""

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
        return StepOutput(value=None, outcome="changed" if done.has_changed else "unchanged", reason=done.what)

    return _carried_out("stack.break", context, work)


def mend_stack(context: RunContext, _options: MendOptions) -> StackResult:
    """Undo the injected faults, and start what is down."""

    def work() -> StepOutput[None]:
        done = fault_injection.mend_stack(context.directory, context.screen)
        if not (done.undone or done.started):
            return StepOutput(value=None, outcome="unchanged", reason="no fault was injected, and every service runs")
        started = f"started {', '.join(done.started)}" if done.started else ""
        undone = f"undone: {', '.join(done.undone)}" if done.undone else ""
        return StepOutput(value=None, outcome="changed", reason="; ".join(filter(None, (undone, started))))

    return _carried_out("stack.mend", context, work)


def _carried_out(name: str, context: RunContext, work: Callable[[], StepOutput[None]]) -> StackResult:
    task_run = TaskRun(name, context)
    try:
        task_run.step(name, 0, work)
    except RunbookError as error:
        return task_run.failure(StackResult, error)
    return task_run.result(StackResult, task_run.steps[-1].outcome, ExitCode.OK)
