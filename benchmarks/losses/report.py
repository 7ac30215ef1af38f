"""The table of the terminal, and docs/LOSSES.md."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.table import Table

from benchmarks.losses.case import cases, digest
from benchmarks.losses.score import Answer
from benchmarks.measuring.machine import Machine

PAGE: Final = Path(__file__).parents[2] / "docs/LOSSES.md"
_LONGEST: Final = 700
_RIGHT: Final = frozenset({"right", "quiet", "true name"})

_HEAD: Final = """\
# Losses that no code names

`inv dev.bench losses` puts {injections} injected losses, duplicates and distortions and {decoys} healthy systems to
`inv troubleshoot --target local --json`, each on the local stack. The list is data, and was written without a look at
the checks: [cases.toml](../benchmarks/losses/cases.toml), SHA-256
`{digest}`,
committed before the first case was run. The benchmark counts at the sources by itself: the API's answers, the messages
in Kafka, the counter on the sink's own page, Prometheus's newest samples.

- An injection is *right* if the verdict is a fault with the code of its boundary, and each topic and tenant in its
  evidence has the difference that the benchmark has counted; at least one that differs must be there. Between
  Prometheus and Grafana there are rates, and no integer is scored.
- A decoy is *quiet* if the verdict is healthy. No fault may be named, and at most 5 % may be inconclusive. A
  *true name* is one that the list itself calls true.
- *Void*: the case did not do what it says, and proves nothing.
"""


def figures(answers: Sequence[Answer]) -> list[tuple[str, str]]:
    """Return the figures of a run, and what they are of."""
    valid = [one for one in answers if not one.void]
    injections = [one for one in valid if one.case.is_injection]
    decoys = [one for one in valid if not one.case.is_injection]
    counted = [one for one in injections if one.is_right_integer is not None]
    boundary = [one for one in injections if one.is_right_boundary and one.outcome == "fault"]
    integer = [one for one in counted if one in boundary and one.is_right_integer]
    wrong = [one for one in injections if any(not code.startswith("LOSS_") for code in one.wrong_names)]
    return [
        ("injections: right boundary", _share(boundary, injections)),
        ("injections: right boundary and integer, where one is counted", _share(integer, counted)),
        (
            "injections: another boundary",
            _share([one for one in injections if one.score == "wrong boundary"], injections),
        ),
        ("injections: a wrong cause named", _share(wrong, injections)),
        (
            "injections: a second fault named that is not there",
            _share([one for one in injections if set(one.wrong_names) - {one.code}], injections),
        ),
        ("injections: called healthy", _share([one for one in injections if one.outcome == "healthy"], injections)),
        ("injections: inconclusive", _share([one for one in injections if one.outcome == "inconclusive"], injections)),
        ("decoys: a fault named", _share([one for one in decoys if one.score == "named"], decoys)),
        ("decoys: inconclusive", _share([one for one in decoys if one.outcome == "inconclusive"], decoys)),
        ("void", _share([one for one in answers if one.void], answers)),
    ]


def _share(some: Sequence[Answer], every: Sequence[Answer]) -> str:
    return f"{len(some)} of {len(every)}" + (f" ({100 * len(some) / len(every):.0f} %)" if every else "")


def table(answers: Sequence[Answer]) -> Table:
    """Return a row for each case."""
    shown = Table("case", "score", "verdict", "s", "counted by the benchmark")
    for one in answers:
        counted = str(one.difference or one.void.partition("\n")[0][:80] or one.sums)
        shown.add_row(one.case.name, one.score, f"{one.outcome} {one.code}", f"{one.took_s:.1f}", counted)
    return shown


def page(answers: Sequence[Answer], machine: Machine, versions: str, remarks: Sequence[str] = ()) -> str:
    """Return docs/LOSSES.md."""
    every = cases()
    injections = sum(case.is_injection for case in every)
    lines = [_HEAD.format(injections=injections, decoys=len(every) - injections, digest=digest())]
    lines += [f"## {machine.at}\n", f"{machine}; {versions}.\n", "| figure | of all that were run |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in figures(answers)]
    lines += ["", "## Remarks", "", *(f"- {remark}" for remark in remarks)] if remarks else []
    misses = [one for one in answers if one.score not in _RIGHT]
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


def _miss(one: Answer) -> list[str]:
    said = one.text if len(one.text) <= _LONGEST else f"{one.text[:_LONGEST]} ..."
    expected = " or ".join(one.case.boundary) or "no fault"
    counted = f" The benchmark counted: {one.difference or one.sums}." if one.difference or one.sums else ""
    verdict = one.void or f"{one.outcome} {one.code}, exit code {one.exit_code}: {said}"
    shown = verdict.replace("`", "'").replace("\n", " ")
    return [
        f"- **{one.case.name}** ({one.score}): {one.case.what}. Expected: {expected}.{counted} Verdict: `{shown}`",
        "",
    ]
