"""The table of the terminal, and docs/LOSSES.md."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.table import Table

from benchmarks.losses.case import NAMES, cases, digest
from benchmarks.losses.score import RIGHT, Answer
from benchmarks.measuring.machine import Machine

PAGE: Final = Path(__file__).parents[2] / "docs/LOSSES.md"
_LONGEST: Final = 700

_FOLDER: Final = re.compile(r"\S*/crm-losses-\w+")
_HEAD: Final = """\
# Losses that no code names

`inv dev.bench losses` puts injected losses, duplicates and distortions, and healthy systems that look odd, to
`inv troubleshoot --target local --json`, each on the local stack. The cases are data. Each list was written without a
look at the checks, and committed before the first of its cases was put to them; the checks were mended since with the
knowledge of what the lists before had found.

| list | injections | decoys | SHA-256 |
|---|---|---|---|
"""

_RULES: Final = """
The benchmark counts at the sources by itself: the API's answers, the messages in Kafka, the counter on the sink's own
page, Prometheus's newest samples, the points that each panel's query returns.

- An injection is *right* if the verdict is a fault with the code of its boundary, and each topic and tenant in its
  evidence has the difference that the benchmark has counted; at least one that differs must be there. Between
  Prometheus and Grafana there are rates, and no integer is scored.
- A decoy is *quiet* if the verdict is healthy. No fault may be named, and at most 5 % may be inconclusive. A
  *true name* is one that the list itself calls true.
- The fix of a fault is typed where it is a command: no part of the stack may end, no message may be lost, no file of
  Prometheus or Grafana may change.
- *Void*: the case did not do what it says, and proves nothing.
"""

Counted = Callable[[Answer], bool]


def _in_injections(counted: Counted) -> Counted:
    return lambda one: one.case.is_injection and counted(one)


def _in_decoys(counted: Counted) -> Counted:
    return lambda one: not one.case.is_injection and counted(one)


_FIGURES: Final[tuple[tuple[str, Counted, Counted], ...]] = (
    (
        "injections: right boundary",
        _in_injections(lambda one: one.is_right_boundary and one.outcome == "fault"),
        _in_injections(lambda _: True),
    ),
    (
        "injections: right boundary and integer, where one is counted",
        _in_injections(lambda one: one.is_right_boundary and one.outcome == "fault" and bool(one.is_right_integer)),
        _in_injections(lambda one: one.is_right_integer is not None),
    ),
    (
        "injections: another boundary",
        _in_injections(lambda one: one.score == "wrong boundary"),
        _in_injections(lambda _: True),
    ),
    (
        "injections: a wrong cause named",
        _in_injections(lambda one: any(not code.startswith("LOSS_") for code in one.wrong_names)),
        _in_injections(lambda _: True),
    ),
    (
        "injections: a second fault named that is not there",
        _in_injections(lambda one: bool(set(one.wrong_names) - {one.code})),
        _in_injections(lambda _: True),
    ),
    (
        "injections: called healthy",
        _in_injections(lambda one: one.outcome == "healthy"),
        _in_injections(lambda _: True),
    ),
    (
        "injections: inconclusive",
        _in_injections(lambda one: one.outcome == "inconclusive"),
        _in_injections(lambda _: True),
    ),
    ("decoys: a fault named", _in_decoys(lambda one: one.score == "named"), _in_decoys(lambda _: True)),
    (
        "fixes that are commands: nothing worse after",
        lambda one: one.fix == "not worse",
        lambda one: bool(one.fix),
    ),
    ("decoys: inconclusive", _in_decoys(lambda one: one.outcome == "inconclusive"), _in_decoys(lambda _: True)),
)


def figures(answers: Sequence[Answer]) -> Iterator[tuple[str, str]]:
    """Yield the figures of a run, and what they are of."""
    valid = [one for one in answers if not one.void]
    for name, is_counted, is_of in _FIGURES:
        yield name, _share(sum(map(is_counted, valid)), sum(map(is_of, valid)))
    yield "void", _share(len(answers) - len(valid), len(answers))


def _share(some: int, every: int) -> str:
    return f"{some} of {every}" + (f" ({100 * some / every:.0f} %)" if every else "")


def table(answers: Sequence[Answer]) -> Table:
    """Return a row for each case."""
    shown = Table("case", "score", "verdict", "s", "counted by the benchmark")
    for one in answers:
        counted = str(one.difference or one.void.partition("\n")[0][:80] or one.sums)
        shown.add_row(one.case.name, one.score, f"{one.outcome} {one.code}", f"{one.took_s:.1f}", counted)
    return shown


def figures_by_list(answers: Sequence[Answer]) -> Iterator[tuple[str, ...]]:
    """Yield rows: the name of a figure, and its value for each list that was run."""
    columns = [dict(figures(_of_list(answers, name))) for name in _run_lists(answers)]
    yield ("figure", *(f"{name} list" for name in _run_lists(answers)))
    for name in columns[0]:
        yield (name, *(column[name] for column in columns))


def _run_lists(answers: Sequence[Answer]) -> list[str]:
    return [name for name in NAMES if _of_list(answers, name)]


def _of_list(answers: Sequence[Answer], name: str) -> list[Answer]:
    return [one for one in answers if one.case.of_list == name]


def page(answers: Sequence[Answer], machine: Machine, versions: str, remarks: Sequence[str] = ()) -> str:
    """Return docs/LOSSES.md."""
    head, *rows = figures_by_list(answers)
    lines = [_HEAD + "\n".join(map(_list_row, NAMES)), _RULES, f"## {machine.at}\n", f"{machine}; {versions}.\n"]
    lines += [_row(head), _row("---" for _ in head), *map(_row, rows)]
    lines += ["", "## Remarks", "", *(f"- {remark}" for remark in remarks)] if remarks else []
    lines += [f"- The fix of {one.case.name} {one.fix}." for one in answers if one.fix not in {"", "not worse"}]
    misses = [one for one in answers if one.score not in RIGHT]
    lines += ["", f"## The {len(misses)} that are not right", ""]
    lines += [line for one in misses for line in _miss(one)]
    lines += ["## All cases", "", "| case | expected | score | verdict | s |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.case.name} | {' or '.join(one.case.boundary) or 'quiet'} | {one.score} | "
        f"{one.outcome} {one.code} | {one.took_s:.1f} |"
        for one in answers
    ]
    scores = Counter(one.score for one in answers)
    return "\n".join(
        [*lines, "", f"{len(answers)} cases: {', '.join(f'{n} {s}' for s, n in scores.most_common())}.", ""]
    )


def _list_row(name: str) -> str:
    every = cases([name])
    injections = sum(case.is_injection for case in every)
    link = f"[{name}](../benchmarks/losses/lists/{name}.toml)"
    return f"| {link} | {injections} | {len(every) - injections} | `{digest(name)}` |"


def _row(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _miss(one: Answer) -> list[str]:
    said = one.text if len(one.text) <= _LONGEST else f"{one.text[:_LONGEST]} ..."
    expected = " or ".join(one.case.boundary) or "no fault"
    counted = f" The benchmark counted: {one.difference or one.sums}." if one.difference or one.sums else ""
    verdict = one.void or f"{one.outcome} {one.code}, exit code {one.exit_code}: {said}"
    shown = _FOLDER.sub("the stack", verdict.replace("`", "'").replace("\n", " "))
    return [
        f"- **{one.case.name}** ({one.score}): {one.case.what}. Expected: {expected}.{counted} Verdict: `{shown}`",
        "",
    ]
