"""`python -m benchmarks.verify`: random runs of `inv verify`, judged by an oracle that counts at the sources.

Each run creates leads and jobs on a local stack, disturbs it (restarts, absences, rebalances, events and garbage of
other producers), asks verify, and compares. A third of the runs truly lose, double or miscount an event.
`--only 1:12` repeats one run by its name, after the runs before it on its stack.
"""

import argparse
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.measuring.command import Parser
from benchmarks.measuring.machine import this_machine
from benchmarks.proofs.figures import Figures
from benchmarks.proofs.lab import Lab
from benchmarks.proofs.scenario import Scenario, scenario
from benchmarks.proofs.trial import Outcome, examined
from runbook.errors import RunbookError
from runbook.local_stack.postgres import found_postgres
from runbook.local_stack.tools import found_tools

EXIT_CODES: Final = "exit codes: 0 every run was judged rightly; 1 one was not; 3 a program is not here; 4 usage"
DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "PROOFS.md"
_MARK: Final = "<!-- written by: inv dev.bench verify -->"


def run_stack(scenarios: Sequence[Scenario], artifacts: Path | None, ends_at: float = math.inf) -> list[Outcome]:
    """Carry out the runs of one stack, one after the other; a stack that does not come to rest is made again.

    After `ends_at` (Unix time) no further run begins.
    """
    outcomes: list[Outcome] = []
    left = list(scenarios)
    while left and time.time() < ends_at:
        with tempfile.TemporaryDirectory(prefix="crm-proofs-") as folder:
            lab = Lab(directory=Path(folder), journal=left[0].journal)
            try:
                lab.up()
                while left and time.time() < ends_at:
                    outcomes.append(examined(lab, left.pop(0), artifacts))
                    _tell(outcomes[-1])
                    lab.rest()
            except (RunbookError, RuntimeError, OSError) as error:
                print(f"this stack is given up: {error}", file=sys.stderr, flush=True)  # noqa: T201  # a command
                if left and not (outcomes and outcomes[-1].scenario.stack == left[0].stack):
                    outcomes.append(Outcome(scenario=left.pop(0), duration_s=0, problem=f"no stack: {error}"))
            finally:
                lab.down()
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the figures, and return the exit code."""
    options = _options(arguments)
    try:
        found_tools(lambda text: print(text, file=sys.stderr))  # noqa: T201  # a command
    except RunbookError as error:
        print(f"not available: {error}", file=sys.stderr)  # noqa: T201  # a command
        return 3
    machine = this_machine()
    outcomes = list(_outcomes(options, _postgres()))
    figures = Figures(sorted(outcomes, key=lambda one: (one.scenario.seed, one.scenario.number)))
    text = "\n".join(figures.lines(machine, _versions(_postgres())))
    print(text, flush=True)  # noqa: T201  # a command
    if options.write:
        before, _, _ = DOCUMENT.read_text("utf-8").partition(_MARK)
        DOCUMENT.write_text(f"{before}{_MARK}\n\n{text}\n", "utf-8")
    return 0 if figures.is_good else 1


def _postgres() -> str:
    """Return PostgreSQL's version; empty: it is not here, and the runs that need it are left out."""
    try:
        return found_postgres().version
    except RunbookError as error:
        print(f"runs with PostgreSQL are left out: {error.seen}", file=sys.stderr)  # noqa: T201  # a command
        return ""


def _versions(postgres: str) -> str:
    said = subprocess.run(
        [found_tools(lambda _: None).prometheus, "--version"], capture_output=True, encoding="utf-8", check=True
    )
    found = re.search(r"version (\S+)", said.stdout + said.stderr)
    without = "without PostgreSQL: its runs are left out"
    return f"Prometheus {found[1] if found else '?'}, {f'PostgreSQL {postgres}' if postgres else without}"


def _outcomes(options: argparse.Namespace, postgres: str) -> Iterator[Outcome]:
    """Yield the runs of one stack after those of another, in the order in which the stacks end."""
    wanted = [one for one in _wanted(options) if postgres or one.journal != "postgres"]
    ends_at = time.time() + options.minutes * 60
    groups = [list(runs) for _, runs in groupby(wanted, key=lambda one: (one.seed, one.stack))]
    with ProcessPoolExecutor(options.parallel, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run_stack, runs, options.keep, ends_at) for runs in groups]):
            yield from done.result()


def _wanted(options: argparse.Namespace) -> list[Scenario]:
    if not options.only:
        return [scenario(options.seed, number) for number in range(options.start, options.start + options.count)]
    seed, number = options.only
    last = scenario(seed, number)
    return [one for before in range(number + 1) if (one := scenario(seed, before)).stack == last.stack]


def _tell(outcome: Outcome) -> None:
    """Say how a run ended, with the name by which it can be repeated."""
    verdict = "WRONG" if outcome.defects else "not examined" if outcome.problem else "right"
    lines = [f"{verdict} {outcome.scenario}: exit {outcome.exit_code}, {outcome.duration_s:.0f} s"]
    lines += [f"    {text}" for text in (outcome.lost, outcome.problem, *map(str, outcome.defects)) if text]
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201  # a command


def _name(text: str) -> tuple[int, int]:
    seed, _, number = text.partition(":")
    return int(seed), int(number)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.verify", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--count", type=int, default=300, help="how many runs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the runs (default: %(default)s)")
    parser.add_argument("--start", type=int, default=0, help="number of the first run (default: %(default)s)")
    parser.add_argument(
        "--only", type=_name, metavar="SEED:NUMBER", help="this run, after those before it on its stack"
    )
    parser.add_argument("--parallel", type=int, default=2, help="stacks side by side (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no run after this time (default: none)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the documents of wrong runs are kept")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/PROOFS.md")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error(f"--count is {options.count}: no run proves nothing")
    return options


if __name__ == "__main__":
    sys.exit(main())
