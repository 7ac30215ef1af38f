"""Runs the tests as `inv test` and `inv dev.unit` do: `python -m tests.run --help`.

Exit codes are those of the README: 0, 1 (a check or a test failed, no test ran, or a process was left behind), 4 (there
is no such test), 130 (a signal asked for the end). However it ends, no process of the tests stays.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Final

from runbook.errors import ExitCode, RunbookError
from runbook.invocation import PROGRAM_VARIABLE, called_as, inv
from runbook.local_stack.tools import found_tools
from tests.children import Children, end_by_signals
from tests.lint import ROOT
from tests.selection import refuse_unknown

_PYTEST_USAGE: Final = 4
_PYTEST_NO_TEST: Final = 5
_COVERAGE: Final = ("--cov", "--cov-report=term:skip-covered")
# Half of the time the tests wait, for Prometheus's next scrape or a time-out: three workers keep two cores busy.
_CORES: Final = os.cpu_count() or 2
_PARALLEL: Final = ("-n", str(_CORES * 3 // 2), "--dist", "loadfile", "--no-loadscope-reorder")
_UNIT: Final = ("-n", str(_CORES), "--dist", "worksteal")
_PYTEST: Final = (sys.executable, "-m", "pytest")
_LINT: Final = (sys.executable, "-m", "tests.lint")
_UNWANTED: Final = frozenset({PROGRAM_VARIABLE, "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})
_NODE: Final = (sys.executable, "-m", "pip", "install", "-q", "--require-hashes", "-r", "tests/conformance/node.lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is to run: all or the tests of `only`; `real`, `docker`, `windows` add, `fast` and `unit` leave out."""

    only: tuple[str, ...] = ()
    unit: bool = False
    fast: bool = False
    real: bool = False
    docker: bool = False
    windows: bool = False

    @property
    def is_whole(self) -> bool:
        """Tell if all of the project's code is meant to run: only then has its coverage a meaning."""
        return not self.only and not self.fast and not self.unit

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return the marks of the tests that do not run."""
        added = {"real": self.real, "docker": self.docker, "windows": self.windows}
        is_out = {"live": True, "stack": self.fast, **{mark: not is_added for mark, is_added in added.items()}}
        return tuple(mark for mark, is_out_ in is_out.items() if is_out_)

    def runs(self) -> Iterator[tuple[str, ...]]:
        """Yield pytest's options, run by run.

        A Docker engine has room for one installation, and what wine runs needs all cores for minutes: these go alone.
        """
        paths = self.only or ("tests",)
        parallel = () if any("::" in one for one in self.only) else _PARALLEL  # it would pass over what is not found
        rest = [f"not {mark}" for mark in self.left_out]
        if self.unit:
            yield ("--unit", *(parallel and _UNIT), *paths)
        elif (alone := [mark for mark in ("docker", "windows") if getattr(self, mark)]) and not self.is_whole:
            yield ("-m", " and ".join(rest), *paths)
        else:
            if alone:
                yield ("-m", " and ".join((f"({' or '.join(alone)})", *rest)), *paths)
            rest += [f"not {mark}" for mark in alone]
            yield ("-m", " and ".join(rest), *parallel, *(_COVERAGE if self.is_whole else ()), *paths)


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for, and end all that it has started."""
    options = vars(_parser().parse_args(arguments))
    called_as("inv")
    end_by_signals(parent=options.pop("parent"))
    children = Children()
    try:
        code = _code(children, Selection(**{**options, "only": tuple(options["only"])}))
    except RunbookError as error:
        print(error, file=sys.stderr)
        code = int(error.exit_code)
    finally:
        left = children.end()
    if left:
        print("The tests have left behind, and it was ended:", *left, sep="\n", file=sys.stderr)
    return max(code, min(1, len(left)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.run", description="Run the tests.")
    parser.add_argument("--unit", action="store_true", help="only those that need no process, port or waiting")
    parser.add_argument("--fast", action="store_true", help="without the tests that start the local stack")
    parser.add_argument("--real", action="store_true", help="also against the real Kafka, Keycloak and PostgreSQL")
    parser.add_argument("--docker", action="store_true", help="also on a Docker engine")
    parser.add_argument("--windows", action="store_true", help="also by CPython for Windows, under wine")
    parser.add_argument("--only", action="append", default=[], help="this file, folder or test only, without lint")
    parser.add_argument("--parent", type=int, default=0, help="end when this process does")
    return parser


def _code(children: Children, selection: Selection) -> int:
    """Check style and types beside the tests, which wait for much; what failed there is printed behind them."""
    refuse_unknown(selection.only)
    environment = {**_environment(), **({} if selection.unit else _programs())}
    with TemporaryFile() as output:
        lint = 0 if selection.only or selection.unit else children.start(_LINT, environment=os.environ, output=output)
        if _needs_node(selection):
            children.code(children.start(_NODE, environment=os.environ))
        if not selection.unit:
            beside = "; style, types, contracts and documents are checked beside them" if lint else ""
            print(f"left out: tests marked {', '.join(selection.left_out)}{beside}", flush=True)
        codes = [_pytest(children, selection, run, environment) for run in selection.runs()]
        if lint and children.code(lint):
            codes.append(int(ExitCode.PROBLEM))
            output.seek(0)
            print(output.read().decode())
    return max(codes)


def _needs_node(selection: Selection) -> bool:
    is_chosen = not selection.unit and (not selection.only or "conformance" in " ".join(selection.only))
    return is_chosen and not shutil.which("npm")


def _pytest(children: Children, selection: Selection, options: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run pytest; its own exit codes do not leave this program: 5 means something else here."""
    code = children.code(children.start([*_PYTEST, *options], environment=environment))
    where = " ".join(selection.only) or str(ROOT / "tests")
    if code == _PYTEST_USAGE:
        print(f"There is no such test\n{where}\nFix: pytest's lines above name it", file=sys.stderr)
        return int(ExitCode.USAGE)
    if code == _PYTEST_NO_TEST:
        fix = f"{inv('test')} with --real, --docker or --windows runs those that need them; {inv('test --help')}"
        print(f"No test ran\n{where}\nFix: {fix}", file=sys.stderr)
    return int(ExitCode.PROBLEM if code else ExitCode.OK)


def _environment() -> dict[str, str]:
    """Return ours, without what would slow hundreds of processes down or change the commands that they print."""
    return {name: value for name, value in os.environ.items() if name not in _UNWANTED}


def _programs() -> dict[str, str]:
    """Return the variables that name the programs of the distribution."""
    tools = found_tools(print)
    programs = {
        "PROMETHEUS": tools.prometheus,
        "ALERTMANAGER": tools.alertmanager,
        "PROMTOOL": tools.promtool,
        "AMTOOL": tools.amtool,
    }
    return {name: str(path) for name, path in programs.items() if path}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
