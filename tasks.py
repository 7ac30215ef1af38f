"""The runbook "CRM Events Visualization Setup" as tasks. The first docstring line of each is its promise."""

import shlex
import shutil
import sys
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from invoke import Collection, Context, Exit, ParseError, Program
from invoke import task as invoke_task

from runbook.errors import UsageError
from runbook.interrupts import become_interruptible

if TYPE_CHECKING:
    from runbook.commands.session import Session, Work
    from runbook.commands.traffic.steps import TrafficOptions
    from runbook.model import TaskResult

become_interruptible()

_ROOT = Path(__file__).resolve().parent
_LINT = (
    "-m ruff check .",
    "-m ruff format --check .",
    "-m mypy",
    "-c 'from importlinter.cli import lint_imports_command as check; check()'",
    "-m docs.generated --check",
)

# Long options only: letters given out by order would make -y mean --dry-run in one task and --yes in the next.
task = partial(invoke_task, auto_shortflags=False)

_COMMON = {
    "target": "the installation: live, local, or a table of runbook.toml (also RUNBOOK_TARGET)",
    "json": "exactly one JSON document on standard output, everything else on standard error",
}
_YES = {"yes": "answer yes to every question"}
_TIMEOUT = {"timeout": "seconds to wait for a state"}
_RUN = {"run": "id of the run (inv history); default: the newest that fits"}
_FILES = {
    "monitoring-dir": "folder with grafana/dashboards and the rules file",
    "dashboard": "the dashboard file",
    "rules": "the rules file",
    "datasource-uid": "uid of the datasource of panels 20 and 21; default: asked of Grafana",
}
_SETUP = _FILES | {
    "restart": "--no-restart: write the files only",
    "verbatim": "the runbook's panels letter by letter instead of the corrected ones",
    "strip-bom": "remove the byte order mark of the dashboard",
    "with-absent-alert": "add CrmEventsSinkAbsent beside the runbook's alert",
    "renumber": "where another panel has the id 20 or 21: give ours the next free one",
    "move-alert": "where the alert sits in another group: cut it there and paste it where it belongs",
    "dry-run": "print the plan that would run; exit code 2 if it is not empty",
}
_TRAFFIC = {
    "leads": "how many leads (5)",
    "jobs": "how many jobs, on those leads (2)",
    "rate": "at most this many requests a second",
}


@task(help=_COMMON | _SETUP | _YES | _TIMEOUT)
def setup(
    _context: Context,
    target: str | None = None,
    monitoring_dir: str | None = None,
    dashboard: str | None = None,
    rules: str | None = None,
    datasource_uid: str | None = None,
    dry_run: bool = False,
    restart: bool = True,
    verbatim: bool = False,
    strip_bom: bool = False,
    with_absent_alert: bool = False,
    renumber: bool = False,
    move_alert: bool = False,
    yes: bool = False,
    timeout: str = "120",
    json: bool = False,
) -> None:
    """Put panels 20 and 21 and the alert in place and prove them served, or leave all as it was (steps 0-3)."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.setup.steps import SetupOptions, setup
        from runbook.options import number

        options = SetupOptions(
            dashboard=Path(dashboard) if dashboard else None,
            rules=Path(rules) if rules else None,
            monitoring_dir=Path(monitoring_dir) if monitoring_dir else None,
            datasource_uid=datasource_uid,
            dry_run=dry_run,
            restart=restart,
            verbatim=verbatim,
            strip_bom=strip_bom,
            with_absent_alert=with_absent_alert,
            renumber=renumber,
            move_alert=move_alert,
            timeout_s=number("--timeout", timeout, above=0),
        )
        return setup(session.target, options, **session.tools(), confirm=session.screen.confirm)

    _carry_out("setup", work, target=target, json=json, yes=yes)


@task(help=_COMMON | _TRAFFIC | _TIMEOUT)
def traffic(
    _context: Context,
    target: str | None = None,
    leads: str = "5",
    jobs: str = "2",
    rate: str | None = None,
    timeout: str = "60",
    json: bool = False,
) -> None:
    """Create leads and jobs with a token from Keycloak, and keep a ledger of what was created (step 4)."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.traffic.steps import traffic

        return traffic(session.target, _traffic_options(leads, jobs, rate, timeout), **session.recording())

    _carry_out("traffic", work, target=target, json=json)


@task(help=_COMMON | _RUN | _TIMEOUT)
def verify(
    _context: Context,
    target: str | None = None,
    run: str | None = None,
    timeout: str = "60",
    json: bool = False,
) -> None:
    """Check the five success criteria and follow each created lead and job through every hop (steps 5-6)."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.verify.steps import verify
        from runbook.options import number

        timeout_s = number("--timeout", timeout, above=0)
        return verify(session.target, **session.tools(), run_id=run, timeout_s=timeout_s)

    _carry_out("verify", work, target=target, json=json)


@task(help=_COMMON | {"hop": "look at this hop only, and at what it needs"} | _TIMEOUT)
def troubleshoot(
    _context: Context,
    target: str | None = None,
    hop: str | None = None,
    timeout: str = "20",
    json: bool = False,
) -> None:
    """Walk the hops from Keycloak to the alert, name the first broken one, and print the fix."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.troubleshoot.steps import troubleshoot
        from runbook.options import number

        deadline_s = number("--timeout", timeout, above=0)
        return troubleshoot(session.target, **session.tools(), hop=hop, deadline_s=deadline_s)

    _carry_out("troubleshoot", work, target=target, json=json)


@task(help=_COMMON | _FILES | _TRAFFIC | _YES | _TIMEOUT)
def run(
    _context: Context,
    target: str | None = None,
    monitoring_dir: str | None = None,
    dashboard: str | None = None,
    rules: str | None = None,
    datasource_uid: str | None = None,
    leads: str = "5",
    jobs: str = "2",
    rate: str | None = None,
    yes: bool = False,
    timeout: str = "120",
    json: bool = False,
) -> None:
    """Carry out setup, traffic and verify as one record, and write its report (steps 0-6)."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.run.steps import run
        from runbook.commands.setup.steps import SetupOptions
        from runbook.options import number

        options = SetupOptions(
            dashboard=Path(dashboard) if dashboard else None,
            rules=Path(rules) if rules else None,
            monitoring_dir=Path(monitoring_dir) if monitoring_dir else None,
            datasource_uid=datasource_uid,
            timeout_s=number("--timeout", timeout, above=0),
        )
        sent = _traffic_options(leads, jobs, rate, timeout)
        return run(session.target, options, sent, **session.tools(), confirm=session.screen.confirm)

    _carry_out("run", work, target=target, json=json, yes=yes, reports=True)


@task(
    help=_COMMON
    | _RUN
    | {
        "force": "also over what somebody has changed since; the record keeps a copy of that",
        "restart": "--no-restart: put the files back only",
    }
    | _YES
    | _TIMEOUT
)
def rollback(
    _context: Context,
    target: str | None = None,
    run: str | None = None,
    force: bool = False,
    restart: bool = True,
    yes: bool = False,
    timeout: str = "120",
    json: bool = False,
) -> None:
    """Put the files back as they were before a recorded setup, and prove that the old state is served."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.rollback.steps import RollbackOptions, rollback
        from runbook.options import number

        timeout_s = number("--timeout", timeout, above=0)
        options = RollbackOptions(run_id=run, force=force, restart=restart, timeout_s=timeout_s)
        return rollback(session.target, options, **session.tools(), confirm=session.screen.confirm)

    _carry_out("rollback", work, target=target, json=json, yes=yes)


@task(help=_COMMON | {"reason": "why, for the colleagues who see it", "duration": "how long: 30m, 2h", "author": "who"})
def silence(
    _context: Context,
    target: str | None = None,
    reason: str = "",
    duration: str = "2h",
    author: str = "",
    json: bool = False,
) -> None:
    """Silence the alert CrmEventsSinkDown in Alertmanager, with author, reason and end."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.silence.steps import SilenceOptions, silence

        options = SilenceOptions(reason=reason, duration=duration, author=author)
        return silence(session.target, options, record=session.record, observer=session.screen)

    _carry_out("silence", work, target=target, json=json)


@task(help=_COMMON | {"silence": "end the silence of this id, whoever made it"})
def unsilence(_context: Context, target: str | None = None, silence: str | None = None, json: bool = False) -> None:
    """End the silences that this tool made on the alert."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.silence.steps import unsilence

        return unsilence(session.target, record=session.record, observer=session.screen, silence_id=silence)

    _carry_out("unsilence", work, target=target, json=json)


@task(help=_COMMON)
def metrics(_context: Context, target: str | None = None, json: bool = False) -> None:
    """Answer the runbook's example queries now."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.metrics.steps import metrics
        from runbook.runs.null_run import NullRun

        return metrics(session.target, record=NullRun(), observer=session.screen)

    _carry_out("metrics", work, target=target, json=json)


@task(help=_COMMON | {"since": "how far back: 10m, 2h", "tail": "only the last lines", "follow": "go on until Ctrl-C"})
def logs(
    _context: Context,
    target: str | None = None,
    since: str | None = None,
    tail: str | None = None,
    follow: bool = False,
    json: bool = False,
) -> None:
    """Show the sink's lines, as 'docker logs' does."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.logs.steps import followed, logs
        from runbook.options import whole
        from runbook.runs.null_run import NullRun

        if follow and not json:
            for line in followed(session.target, session.runtime, since=since):
                session.screen.shows_line(line)
        count = whole("--tail", tail) if tail else None
        return logs(session.target, session.runtime, record=NullRun(), observer=session.screen, since=since, tail=count)

    _carry_out("logs", work, target=target, json=json)


@task(help=_RUN | {"output": "the file to write (default: report.html beside the record)", "json": _COMMON["json"]})
def report(_context: Context, run: str | None = None, output: str | None = None, json: bool = False) -> None:
    """Write the evidence of one run as one HTML file."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.report.steps import report

        return report(session.state_dir, run_id=run, output=Path(output) if output else None, observer=session.screen)

    _carry_out("report", work, target=None, json=json)


@task(help={"json": _COMMON["json"]})
def history(_context: Context, json: bool = False) -> None:
    """List the runs so far."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.history.steps import history

        return history(session.state_dir, target=session.wanted_target, observer=session.screen)

    _carry_out("history", work, target=None, json=json)


@task(name="open", help={"target": _COMMON["target"]})
def open_(_context: Context, target: str | None = None) -> None:
    """Open the dashboard in a browser, or print its address."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.open.steps import opened

        return opened(session.target, observer=session.screen)

    _carry_out("open", work, target=target, json=False)


@task(help={"keep": "leave the local stack up afterwards", "json": _COMMON["json"]} | _TRAFFIC)
def demo(
    _context: Context,
    keep: bool = False,
    leads: str = "5",
    jobs: str = "2",
    rate: str | None = None,
    json: bool = False,
) -> None:
    """Carry out the whole runbook on a local stack, write the evidence report, and stop the stack."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.demo.steps import demo_stack
        from runbook.commands.run.steps import run
        from runbook.commands.setup.steps import SetupOptions

        sent = _traffic_options(leads, jobs, rate, "60")
        with demo_stack(session.directory, record=session.record, observer=session.screen, keep=keep):
            return run(session.target, SetupOptions(), sent, **session.tools(), confirm=session.screen.confirm)

    _carry_out("demo", work, target="local", json=json, yes=True, reports=True)


@task(
    help={
        "with": "real programs for these parts: kafka=real,keycloak=real,postgres=real",
        "real": "real programs wherever they can be had",
        "docker": "in containers, as target docker, with the images of monitoring/compose.yaml or of its variables",
        "json": _COMMON["json"],
    }
)
def up(
    _context: Context, with_: str | None = None, real: bool = False, docker: bool = False, json: bool = False
) -> None:
    """Start the local stack, or what is missing of it; ready in seconds, without Docker and without root."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.stack.steps import containers_up, stack_up

        if docker:
            return containers_up(session.directory, observer=session.screen, real=with_ or "", everything=real)
        return stack_up(session.directory, observer=session.screen, real=with_ or "", everything=real)

    _carry_out("stack.up", work, target="docker" if docker else "local", json=json)


@task(help={"docker": "the one in containers", "json": _COMMON["json"]})
def down(_context: Context, docker: bool = False, json: bool = False) -> None:
    """End every process of the local stack, also after a crash."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.stack.steps import containers_down, stack_down

        return (containers_down if docker else stack_down)(session.directory, observer=session.screen)

    _carry_out("stack.down", work, target="docker" if docker else "local", json=json)


@task(help={"docker": "the one in containers", "json": _COMMON["json"]})
def status(_context: Context, docker: bool = False, json: bool = False) -> None:
    """Show every part of the local stack: real or stand-in, process, address."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.stack.steps import containers_status, stack_status

        return (containers_status if docker else stack_status)(session.directory, observer=session.screen)

    _carry_out("stack.status", work, target="docker" if docker else "local", json=json)


@task(name="break", positional=["code"], help=_COMMON | {"code": "a code of 'inv troubleshoot', such as KC_DOWN"})
def break_(_context: Context, code: str, target: str = "local", json: bool = False) -> None:
    """Inject a fault into the local stack, for practice; any other target is refused."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.stack.fault_steps import stack_break

        return stack_break(session.directory, code, target=session.wanted_target, observer=session.screen)

    _carry_out("stack.break", work, target=target, json=json)


@task(help={"json": _COMMON["json"]})
def mend(_context: Context, json: bool = False) -> None:
    """Take the injected fault back."""

    def work(session: "Session") -> "TaskResult":
        from runbook.commands.stack.fault_steps import stack_mend

        return stack_mend(session.directory, observer=session.screen)

    _carry_out("stack.mend", work, target="local", json=json)


@task()
def lint(context: Context) -> None:
    """Check style, types, import contracts and the generated parts of the documents."""
    for arguments in _LINT:
        _python(context, arguments)


@task(help={"name": "a file of benchmarks/; its own options come after --: inv dev.bench chaos -- --kills 1000"})
def bench(context: Context, name: str) -> None:
    """Run one of the benchmarks; it prints the ratios of one run."""
    known = sorted(path.stem for path in (_ROOT / "benchmarks").glob("[a-z]*.py"))
    if name not in known:
        raise Exit(f"There is no benchmark {name!r}\n{_ROOT / 'benchmarks'}\nFix: choose one of {known}", code=4)
    _python(context, f"-m benchmarks.{name} {shlex.join(shlex.split(context.remainder))}")


@task()
def docs(context: Context) -> None:
    """Write the generated parts of the documents anew."""
    _python(context, "-m docs.generated")


@task(
    help={
        "fast": "without the tests that start the local stack",
        "real": "also against the real Kafka, Keycloak and PostgreSQL (Java, Maven and PostgreSQL are needed)",
        "docker": "also on a Docker engine; tests/docker/with-engine ./inv test --docker brings one along (root)",
        "only": "these files or folders only",
    }
)
def test(context: Context, fast: bool = False, real: bool = False, docker: bool = False, only: str = "tests") -> None:
    """Prove the project: style, types, contracts and every test, with the real Prometheus and Alertmanager."""
    from runbook.local_stack.tools import found_tools

    lint(context)
    tools = found_tools(print)
    if not shutil.which("npm"):
        _python(context, "-m pip install -q --require-hashes -r tests/conformance/node.lock")
    programs = {
        "PROMETHEUS": tools.prometheus,
        "ALERTMANAGER": tools.alertmanager,
        "PROMTOOL": tools.promtool,
        "AMTOOL": tools.amtool,
    }
    left_out = {"live": True, "stack": fast, "real": not real, "docker": not docker}
    print(f"left out: tests marked {', '.join(mark for mark, is_out in left_out.items() if is_out)}")
    environment = {name: str(path) for name, path in programs.items() if path}
    codes = [
        _exit_code(context, f"-m pytest {run} {shlex.quote(only)}", env=environment)
        for run in _pytest_runs(left_out, is_whole=only == "tests" and not fast)
    ]
    if any(codes):
        raise Exit(code=max(codes))


def _pytest_runs(left_out: dict[str, bool], *, is_whole: bool) -> list[str]:
    """Return pytest's options, run by run. One Docker engine has room for one installation: those tests go alone."""
    parallel, coverage = "-n 2 --dist loadfile", "--cov --cov-report=term:skip-covered"
    if left_out["docker"]:
        return [f"{_marks(left_out)} {parallel} {coverage if is_whole else ''}"]
    if not is_whole:
        return [_marks(left_out)]
    in_containers = " and ".join(("docker", *(f"not {mark}" for mark, is_out in left_out.items() if is_out)))
    return [f"-m '{in_containers}'", f"{_marks({**left_out, 'docker': True})} {parallel} {coverage}"]


def _marks(left_out: dict[str, bool]) -> str:
    return f"-m '{' and '.join(f'not {mark}' for mark, is_out in left_out.items() if is_out)}'"


def _python(context: Context, arguments: str) -> None:
    """Run a module of this environment in the checkout; its exit code becomes ours."""
    code = _exit_code(context, arguments)
    if code:
        raise Exit(code=code)


def _exit_code(context: Context, arguments: str, *, env: dict[str, str] | None = None) -> int:
    with context.cd(str(_ROOT)):
        done = context.run(f"{shlex.quote(sys.executable)} {arguments}", env=env or {}, warn=True)
    return 1 if done is None else int(done.exited)  # a result that failed is false, whatever its code


def _traffic_options(leads: str, jobs: str, rate: str | None, timeout: str) -> "TrafficOptions":
    from runbook.commands.traffic.steps import TrafficOptions
    from runbook.options import number, whole

    return TrafficOptions(
        leads=whole("--leads", leads),
        jobs=whole("--jobs", jobs),
        rate=number("--rate", rate, above=0) if rate else None,
        timeout_s=number("--timeout", timeout, above=0),
    )


def _carry_out(
    name: str, work: "Work", *, target: str | None, json: bool, yes: bool = False, reports: bool = False
) -> NoReturn:
    from runbook.commands.session import carry_out

    carry_out(name, work, target=target, json=json, yes=yes, reports=reports)


namespace = Collection(
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
namespace.add_collection(Collection("dev", lint, bench, docs))


def _refuse(seen: str) -> NoReturn:
    def work(_session: "Session") -> "TaskResult":
        where = f"command line: {' '.join(sys.argv[1:])}"
        raise UsageError(seen, where=where, fix="inv --list, or inv --help TASK")

    _carry_out("inv", work, target=None, json="--json" in sys.argv)


class RunbookProgram(Program):
    """Invoke's program, with this project's exit code and three parts for a mistake on the command line."""

    def parse_tasks(self) -> None:
        """Say what was not understood, where, and what to do next."""
        try:
            super().parse_tasks()
        except ParseError as error:
            _refuse(str(error))


program = RunbookProgram(
    name="crm-events-runbook", binary="inv", namespace=namespace, version=metadata.version("crm-events-runbook")
)
