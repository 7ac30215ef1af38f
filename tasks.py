"""The runbook "CRM Events Visualization Setup" as tasks. The first docstring line of each is its promise."""

import os
import shlex
import subprocess
import sys
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Collection, Context, Exit
from invoke import task as invoke_task

from runbook.commands.demo.options import DemoOptions
from runbook.commands.history.options import HistoryOptions
from runbook.commands.init.options import InitOptions
from runbook.commands.logs.options import LogsOptions
from runbook.commands.metrics.options import MetricsOptions
from runbook.commands.open.options import OpenOptions
from runbook.commands.program import program_of
from runbook.commands.report.options import ReportOptions
from runbook.commands.rollback.options import RollbackOptions
from runbook.commands.run.options import RunOptions
from runbook.commands.setup.options import SetupOptions
from runbook.commands.silence.options import SilenceOptions, UnsilenceOptions
from runbook.commands.stack.options import BreakOptions, MendOptions, StackOptions, UpOptions
from runbook.commands.task_builder import command
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.troubleshoot.options import TroubleshootOptions
from runbook.commands.verify.options import VerifyOptions
from runbook.interrupts import Interrupted, uninterrupted

if TYPE_CHECKING:
    from runbook.commands.run_context import RunContext
    from runbook.model import CommandResult


_ROOT = Path(__file__).resolve().parent

task = partial(invoke_task, auto_shortflags=False)


@command(SetupOptions)
def setup(context: "RunContext", options: SetupOptions) -> "CommandResult":
    """Put panels 20 and 21 and the alert in place and prove them served, or leave all as it was (steps 0-3)."""
    from runbook.commands.setup.steps import setup

    return setup(context, options)


@command(InitOptions, is_recorded=False)
def init(context: "RunContext", options: InitOptions) -> "CommandResult":
    """Look at the installation and write the runbook.toml that it needs; --check says where each setting came from."""
    from runbook.commands.init.steps import init

    return init(context, options)


@command(TrafficOptions)
def traffic(context: "RunContext", options: TrafficOptions) -> "CommandResult":
    """Create leads and jobs with a token from Keycloak, and keep a ledger of what was created (step 4)."""
    from runbook.commands.traffic.steps import traffic

    return traffic(context, options)


@command(VerifyOptions)
def verify(context: "RunContext", options: VerifyOptions) -> "CommandResult":
    """Check the five success criteria, and follow created leads and jobs, or real traffic, through every hop (5-6)."""
    from runbook.commands.verify.steps import verify

    return verify(context, options)


@command(TroubleshootOptions)
def troubleshoot(context: "RunContext", options: TroubleshootOptions) -> "CommandResult":
    """Walk the hops from Keycloak to the alert, name the first broken one, and print the fix."""
    from runbook.commands.troubleshoot.steps import troubleshoot

    return troubleshoot(context, options)


@command(RunOptions, has_report=True)
def run(context: "RunContext", options: RunOptions) -> "CommandResult":
    """Carry out setup, traffic and verify as one run, and write its report (steps 0-6)."""
    from runbook.commands.run.steps import run_all

    return run_all(context, options)


@command(RollbackOptions)
def rollback(context: "RunContext", options: RollbackOptions) -> "CommandResult":
    """Put the files back as they were before a recorded setup, and prove that the old state is served."""
    from runbook.commands.rollback.steps import rollback

    return rollback(context, options)


@command(SilenceOptions)
def silence(context: "RunContext", options: SilenceOptions) -> "CommandResult":
    """Silence the alert CrmEventsSinkDown in Alertmanager, with author, reason and end."""
    from runbook.commands.silence.steps import silence

    return silence(context, options)


@command(UnsilenceOptions)
def unsilence(context: "RunContext", options: UnsilenceOptions) -> "CommandResult":
    """End the silences that this tool made on the alert."""
    from runbook.commands.silence.steps import unsilence

    return unsilence(context, options)


@command(MetricsOptions, is_recorded=False)
def metrics(context: "RunContext", options: MetricsOptions) -> "CommandResult":
    """Answer the runbook's example queries now."""
    from runbook.commands.metrics.steps import metrics

    return metrics(context, options)


@command(LogsOptions, is_recorded=False)
def logs(context: "RunContext", options: LogsOptions) -> "CommandResult":
    """Show the sink's lines, as 'docker logs' does."""
    from runbook.commands.logs.steps import logs

    return logs(context, options)


@command(ReportOptions, is_recorded=False)
def report(context: "RunContext", options: ReportOptions) -> "CommandResult":
    """Write the evidence of one run as one HTML file."""
    from runbook.commands.report.steps import report

    return report(context, options)


@command(HistoryOptions, is_recorded=False)
def history(context: "RunContext", options: HistoryOptions) -> "CommandResult":
    """List the runs so far."""
    from runbook.commands.history.steps import history

    return history(context, options)


@command(OpenOptions, name="open", is_recorded=False)
def open_(context: "RunContext", options: OpenOptions) -> "CommandResult":
    """Open the dashboard in a browser, or print its address."""
    from runbook.commands.open.steps import open_dashboard

    return open_dashboard(context, options)


@command(DemoOptions, target="local", has_report=True, is_confirmed=True)
def demo(context: "RunContext", options: DemoOptions) -> "CommandResult":
    """Carry out the whole runbook on a local stack, write the evidence report, and stop the stack."""
    from runbook.commands.demo.steps import demo

    return demo(context, options)


@command(UpOptions, name="stack.up", target="local", is_recorded=False)
def up(context: "RunContext", options: UpOptions) -> "CommandResult":
    """Start the local stack, or what is missing of it; ready in seconds, without Docker and without root."""
    from runbook.commands.stack.steps import up

    return up(context, options)


@command(StackOptions, name="stack.down", target="local", is_recorded=False)
def down(context: "RunContext", options: StackOptions) -> "CommandResult":
    """End every process of the local stack, also after a crash."""
    from runbook.commands.stack.steps import down

    return down(context, options)


@command(StackOptions, name="stack.status", target="local", is_recorded=False)
def status(context: "RunContext", options: StackOptions) -> "CommandResult":
    """Show every service of the local stack: real or stand-in, process, address."""
    from runbook.commands.stack.steps import status

    return status(context, options)


@command(BreakOptions, name="stack.break", target="local", is_recorded=False)
def break_(context: "RunContext", options: BreakOptions) -> "CommandResult":
    """Inject a fault into the local stack, for practice; any other target is refused."""
    from runbook.commands.stack.fault_steps import break_stack

    return break_stack(context, options)


@command(MendOptions, name="stack.mend", target="local", is_recorded=False)
def mend(context: "RunContext", options: MendOptions) -> "CommandResult":
    """Take the injected fault back."""
    from runbook.commands.stack.fault_steps import mend_stack

    return mend_stack(context, options)


@task()
def lint(_context: Context) -> None:
    """Check style, types, import contracts and the generated parts of the documents."""
    _python("tests.lint")


@task(help={"name": "a file of benchmarks/; its own options come after --: inv dev.bench chaos -- --kills 1000"})
def bench(context: Context, name: str) -> None:
    """Run one of the benchmarks; it prints the ratios of one run."""
    _python("benchmarks", name, *shlex.split(context.remainder))


@task()
def docs(_context: Context) -> None:
    """Write the generated parts of the documents."""
    _python("docs.generated")


@task(
    iterable=["only"],
    positional=[],
    help={"only": "this file, folder or file::test only; may be given several times"},
)
def unit(_context: Context, only: list[str]) -> None:
    """Run every test that needs no process, no port and no waiting; less than half a minute."""
    _python("tests.run", "--unit", f"--parent={os.getpid()}", *(f"--only={one}" for one in only))


@task(
    iterable=["only"],
    positional=[],
    help={
        "fast": "without the tests that start the local stack",
        "real": "also against the real Kafka, Keycloak and PostgreSQL (Java, Maven and PostgreSQL are needed)",
        "docker": "also on a Docker engine; tests/docker/with-engine ./inv test --docker brings one along (root)",
        "windows": "also by CPython for Windows (wine, a compiler for Windows, Java and Maven are needed)",
        "only": "this file, folder or file::test only, without lint; may be given several times",
    },
)
def test(
    _context: Context,
    only: list[str],
    fast: bool = False,
    real: bool = False,
    docker: bool = False,
    windows: bool = False,
) -> None:
    """Prove the project: style, types, contracts and every test, with the real Prometheus and Alertmanager."""
    choices = {"fast": fast, "real": real, "docker": docker, "windows": windows}
    chosen = [f"--{name}" for name, is_chosen in choices.items() if is_chosen]
    _python("tests.run", f"--parent={os.getpid()}", *chosen, *(f"--only={one}" for one in only))


def _python(module: str, *arguments: str) -> None:
    """Run a module of this environment in the checkout; its exit code becomes ours, and our end is its end."""
    with subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=_ROOT) as child:
        try:
            code = child.wait()
        except Interrupted:
            with uninterrupted():
                child.terminate()
                child.wait()
            raise
    if code:
        raise Exit(code=code if code > 0 else 128 - code)


namespace = Collection(
    init,
    setup,
    traffic,
    verify,
    troubleshoot,
    run,
    rollback,
    silence,
    unsilence,
    metrics,
    logs,
    report,
    history,
    open_,
    demo,
    test,
)
namespace.add_collection(Collection("stack", up, down, status, break_, mend))
namespace.add_collection(Collection("dev", lint, unit, bench, docs))

program = program_of(namespace, version=metadata.version("crm-events-runbook"))
