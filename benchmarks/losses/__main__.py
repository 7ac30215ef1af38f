"""`python -m benchmarks.losses`: losses that no code names, and healthy systems that look odd, put to `troubleshoot`.

Each case runs on a local stack; the benchmark counts at the sources what is missing, and compares. `--write` puts the
result into docs/LOSSES.md.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.losses.case import NAMES, cases, digest
from benchmarks.losses.report import PAGE, figures_by_list, page, table
from benchmarks.losses.running import run
from benchmarks.losses.score import RIGHT, Answer
from benchmarks.measuring.command import Parser
from benchmarks.measuring.machine import this_machine
from runbook.local_stack.tools import found_tools

EXIT_CODES: Final = "exit codes: 0 every case is right; 1 one is not; 4 usage"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table and the figures, and return the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, width=200)
    words = options.only or [""]
    chosen = [case for case in cases(options.list or NAMES) if any(word in case.name for word in words)]
    if options.kind:
        chosen = [case for case in chosen if case.is_injection == (options.kind == "injections")]
    chosen = chosen[: options.count]
    if not chosen:
        _parser().error("no case fits --only, --kind, --count and --list")
    machine = this_machine()
    console.print(f"{machine}; {', '.join(f'{name} list {digest(name)[:12]}' for name in NAMES)}")

    def says(answer: Answer) -> None:
        where = answer.difference or answer.void[:300] or answer.sums
        console.print(f"{answer.score:15} {answer.case.name}: {answer.outcome} {answer.code} [{where}]", markup=False)
        if options.keep:
            with options.keep.open("a", encoding="utf-8") as file:
                file.write(f"{answer.line()}\n")

    if options.again:
        by_name = {case.name: case for case in cases()}
        kept = {
            one.case.name: one
            for line in options.again.open("r", encoding="utf-8")
            if (one := Answer.of(line, by_name))
        }
        answers = [kept[case.name] for case in chosen if case.name in kept]
    else:
        answers = run(chosen, parallel=options.parallel, says=says, asks=not options.count_only)
    console.print(table(answers))
    head, *rows = figures_by_list(answers)
    shown = Table(*head)
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    if options.write:
        PAGE.write_text(page(answers, machine, _versions(), options.remark), encoding="utf-8")
    return 0 if all(answer.score in RIGHT for answer in answers) else 1


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.losses", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--only", action="append", metavar="WORD", help="cases whose name has this word; repeatable")
    parser.add_argument("--kind", choices=("injections", "decoys"), help="only these")
    parser.add_argument("--count", type=int, help="so many at most")
    parser.add_argument("--list", action="append", choices=NAMES, help="only this list; repeatable")
    parser.add_argument("--parallel", type=int, default=1, help="stacks side by side (default: %(default)s)")
    parser.add_argument("--count-only", action="store_true", help="do not ask: show what the benchmark counts")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="append each answer as a line of JSON")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run nothing: score what --keep has written")
    parser.add_argument("--remark", action="append", default=[], help="for docs/LOSSES.md; repeatable")
    parser.add_argument("--write", action="store_true", help="write docs/LOSSES.md")
    return parser


def _versions() -> str:
    prometheus = str(found_tools(lambda _: None).prometheus)
    said = subprocess.run([prometheus, "--version"], capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).partition("(")[0].strip()


if __name__ == "__main__":
    sys.exit(main())
