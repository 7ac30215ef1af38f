"""Step 6: the dashboard in a browser, or its address where there is none."""

import webbrowser

from runbook.commands.open.options import OpenOptions
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode
from runbook.model import CommandResult


def open_dashboard(context: RunContext, _options: OpenOptions) -> CommandResult:
    """Hand the dashboard's address to the browser of this machine; the address is printed in any case."""
    task_run = TaskRun("open", context)
    target = context.target
    url = f"{target.grafana.url}/d/{target.grafana.dashboard_uid}"

    def handed_over() -> StepOutput[None]:
        is_open = webbrowser.open(url)
        return StepOutput(value=None, outcome="ok", reason=url if is_open else f"no browser here; open {url}")

    task_run.step("open", 6, handed_over)
    return task_run.result(CommandResult, "ok", ExitCode.OK)
