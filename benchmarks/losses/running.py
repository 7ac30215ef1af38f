"""Carrying out cases: a stack for each group, so many stacks side by side."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from benchmarks.losses.case import Case, runs_of
from benchmarks.losses.fixes import typed
from benchmarks.losses.oracle import difference, sums
from benchmarks.losses.score import Answer
from benchmarks.losses.verbs import carry_out
from benchmarks.losses.world import World
from runbook.settings import LOCAL

Says = Callable[[Answer], None]


def run(chosen: Sequence[Case], *, parallel: int, says: Says, asks: bool = True) -> list[Answer]:
    """Run the cases; return their answers in the order of the list. Without `asks` they are only counted."""
    with ThreadPoolExecutor(parallel) as pool:
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
    """Carry out a case on a stack, ask, count, and type the fix."""
    try:
        for step in case.do:
            carry_out(world, step)
        begun = time.monotonic()
        code, document = world.command("troubleshoot", "--target", LOCAL) if asks else (0, {})
        took_s = time.monotonic() - begun
        counted = difference(case.oracle, world)
        seen = "" if case.is_injection else sums(world)
        verdict = document.get("verdict") or {}
        fix = typed(verdict.get("fix", ""), world) if verdict.get("outcome") == "fault" else ""
    except Exception as error:  # noqa: BLE001 - the case is void, whatever it was
        return Answer(case=case, void=f"{type(error).__name__}: {error}")
    finally:
        world.end_case()
    void = "nothing was lost" if case.is_injection and not (counted and counted.differ) else ""
    return Answer(
        case=case,
        exit_code=code,
        document=document,
        difference=counted,
        sums=seen,
        fix=fix,
        took_s=took_s,
        void=void,
    )
