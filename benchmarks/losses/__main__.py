"""`python -m benchmarks.losses`: losses that no code names, and healthy systems that look odd, put to `troubleshoot`.

Each case runs on a local stack; the benchmark counts at the sources what is missing, and compares. `--write` puts the
result into docs/LOSSES.md.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.losses.case import Case, cases, digest, runs_of
from benchmarks.losses.oracle import difference, sums
from benchmarks.losses.report import PAGE, figures, page, table
from benchmarks.losses.score import Answer
from benchmarks.losses.world import World
from benchmarks.measuring.command import Parser
from benchmarks.measuring.machine import this_machine
from runbook.local_stack.tools import found_tools

EXIT_CODES: Final = "exit codes: 0 every case is right; 1 one is not; 4 usage"
_RIGHT: Final = frozenset({"right", "quiet", "true name"})

Says = Callable[[Answer], None]


def run(chosen: Sequence[Case], *, workers: int, says: Says, asks: bool = True) -> list[Answer]:
    """Run the cases, so many stacks side by side; return their answers in the order of the list."""
    with ThreadPoolExecutor(workers) as pool:
        done = pool.map(lambda group: list(_on_one_stack(group, says, asks=asks)), runs_of(chosen))
        by_name = {answer.case.name: answer for answers in done for answer in answers}
    return [by_name[case.name] for case in chosen]


def _on_one_stack(group: Sequence[Case], says: Says, *, asks: bool) -> Iterator[Answer]:
    with tempfile.TemporaryDirectory(prefix="crm-losses-") as folder:
        world, problem = World(Path(folder)), ""
        try:
            world.up(group[0].up)
        except Exception as error:  # noqa: BLE001 - told as the reason of every case
            problem = f"the stack did not come up: {error}"
        try:
            for case in group:
                answer = Answer(case=case, void=problem) if problem else answered(case, world, asks=asks)
                says(answer)
                yield answer
        finally:
            with suppress(Exception):  # what is left is in a folder of its own, and carries its mark
                world.down()


def answered(case: Case, world: World, *, asks: bool = True) -> Answer:
    """Carry out a case on a stack, ask, and count."""
    try:
        for step in case.do:
            world.do(step)
        begun = time.monotonic()
        code, document = world.troubleshoot() if asks else (0, {})
        took_s = time.monotonic() - begun
        counted = difference(case.oracle, world)
        seen = "" if case.is_injection else sums(world)
    except Exception as error:  # noqa: BLE001 - the case is void, whatever it was
        return Answer(case=case, void=f"{type(error).__name__}: {error}")
    finally:
        world.end_case()
    void = "nothing was lost" if case.is_injection and not (counted and counted.differ) else ""
    return Answer(case=case, exit_code=code, document=document, difference=counted, sums=seen, took_s=took_s, void=void)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table and the figures, and return the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, width=200)
    chosen = [case for case in cases() if not options.only or any(word in case.name for word in options.only)]
    if options.kind:
        chosen = [case for case in chosen if case.is_injection == (options.kind == "injections")]
    chosen = chosen[: options.count]
    if not chosen:
        _parser().error("--only fits no case of cases.toml")
    machine = this_machine()
    console.print(f"{machine}; list {digest()[:12]}")

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
        answers = run(chosen, workers=options.workers, says=says, asks=not options.count_only)
    console.print(table(answers))
    shown = Table("figure", "value")
    for name, value in figures(answers):
        shown.add_row(name, value)
    console.print(shown)
    if options.write:
        PAGE.write_text(page(answers, machine, _versions(), options.remark), encoding="utf-8")
    return 0 if all(answer.score in _RIGHT for answer in answers) else 1


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.losses", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--only", action="append", metavar="WORD", help="cases whose name has this word; repeatable")
    parser.add_argument("--kind", choices=("injections", "decoys"), help="only these")
    parser.add_argument("--count", type=int, help="so many at most")
    parser.add_argument("--workers", type=int, default=1, help="stacks side by side (default: %(default)s)")
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
