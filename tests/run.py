"""Runs the tests as `inv test` and `inv dev.unit` do: `python -m tests.run --help`.

Exit codes are those of the README: 0, 1 (a check or a test failed, or no test ran), 4 (there is no such test), 130.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runbook.errors import ExitCode
from runbook.local_stack.tools import found_tools
from tests.lint import ROOT, failed_checks

_PYTEST_CODES: Final[Mapping[int, ExitCode]] = {0: ExitCode.OK, 2: ExitCode.INTERRUPTED, 4: ExitCode.USAGE}
_COVERAGE: Final = ("--cov", "--cov-report=term:skip-covered")
_PARALLEL: Final = ("-n", "2", "--dist", "loadfile")


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; the first part that fails decides, the others run all the same."""
    options = _parser().parse_args(arguments)
    if options.unit:
        return _pytest("-m", "unit", *_PARALLEL, *_selected(options.only))
    if options.only and not Path(ROOT, options.only.partition("::")[0]).exists():
        print(f"There is no test {options.only}\n{ROOT / 'tests'}\nFix: a file or folder of tests/", file=sys.stderr)
        return int(ExitCode.USAGE)
    lint = 0 if options.only else min(1, failed_checks())
    if not shutil.which("npm"):
        install = ("-m", "pip", "install", "-q", "--require-hashes", "-r", "tests/conformance/node.lock")
        subprocess.run([sys.executable, *install], cwd=ROOT, check=True)
    left_out = {"live": True, "stack": options.fast, "real": not options.real, "docker": not options.docker}
    print(f"left out: tests marked {', '.join(mark for mark, is_out in left_out.items() if is_out)}", flush=True)
    is_whole = not options.only and not options.fast
    codes = [_pytest(*run, *_selected(options.only)) for run in _runs(left_out, is_whole=is_whole)]
    return max(lint, *codes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.run", description="Run the tests.")
    parser.add_argument("--unit", action="store_true", help="only those that need no process, port or waiting")
    parser.add_argument("--fast", action="store_true", help="without the tests that start the local stack")
    parser.add_argument("--real", action="store_true", help="also against the real Kafka, Keycloak and PostgreSQL")
    parser.add_argument("--docker", action="store_true", help="also on a Docker engine")
    parser.add_argument("--only", default="", help="this file, folder or test only, without lint")
    return parser


def _selected(only: str) -> tuple[str, ...]:
    return (only,) if only else ("tests",)


def _runs(left_out: Mapping[str, bool], *, is_whole: bool) -> list[tuple[str, ...]]:
    """Return pytest's options, run by run. One Docker engine has room for one installation: those tests go alone."""
    if left_out["docker"]:
        return [("-m", _marks(left_out), *_PARALLEL, *(_COVERAGE if is_whole else ()))]
    if not is_whole:
        return [("-m", _marks(left_out))]
    in_containers = " and ".join(("docker", *(f"not {mark}" for mark, is_out in left_out.items() if is_out)))
    return [("-m", in_containers), ("-m", _marks({**left_out, "docker": True}), *_PARALLEL, *_COVERAGE)]


def _marks(left_out: Mapping[str, bool]) -> str:
    return " and ".join(f"not {mark}" for mark, is_out in left_out.items() if is_out)


def _pytest(*options: str) -> int:
    """Run pytest with the programs of the distribution; its exit code 5, no test ran, is a failure as any other."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=ROOT, env={**os.environ, **_programs()}, check=False
    )
    return int(_PYTEST_CODES.get(done.returncode, ExitCode.PROBLEM))


def _programs() -> dict[str, str]:
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
