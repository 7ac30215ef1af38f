"""The whole runbook on a local stack that is up as long as the demo."""

from runbook.commands.demo.options import DemoOptions
from runbook.commands.run.result import RunResult
from runbook.commands.run.steps import run_all
from runbook.commands.run_context import RunContext
from runbook.commands.stack.steps import SCRAPE_NOTE
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.interrupts import uninterrupted
from runbook.invocation import inv
from runbook.local_stack import stack
from runbook.settings import LOCAL


def demo(context: RunContext, options: DemoOptions) -> RunResult:
    """Start the local stack, carry out the runbook on it, and stop it.

    One that was up before is used, and left up. So is one of which a service does not come up: its log is there, and
    the next `stack.up` starts what is missing.
    """
    stays, is_up = options.keep or bool(stack.status(context.directory)), False
    try:
        TaskRun("demo", context).step("local stack", 0, lambda: _up(context))
        is_up = True
        return run_all(context, options.of_run)
    finally:
        if stays or (not is_up and stack.status(context.directory)):
            commands = ", ".join((inv("troubleshoot", target=LOCAL), inv("stack.status"), inv("stack.down")))
            context.screen.says(f"the local stack stays up as target {LOCAL}: {commands}")
        else:
            with uninterrupted():
                stack.down(context.directory, context.screen)


def _up(context: RunContext) -> StepOutput[None]:
    services = stack.up(context.directory, context.screen)
    context.run_log.append("stack", {"parts": list(services)})
    real = [service.plays for service in services if service.kind == "real"]
    fakes = [service.plays for service in services if service.kind != "real"]
    reason = f"real: {', '.join(real)}; stand-ins: {', '.join(fakes)}; {SCRAPE_NOTE}"
    return StepOutput(value=None, outcome="ok", reason=reason)
