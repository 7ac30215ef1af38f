"""The sums of many runs, as text for a terminal and for docs/PROOFS.md."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.measuring.machine import Machine
from benchmarks.proofs.judge import KINDS, Kind
from benchmarks.proofs.trial import Outcome

_PLACE: Final = re.compile(r"\S+/\d+@\d+|\('\w+', \d+\)|\[.*\]|\b\d+ lines.*")
_FOLDER: Final = re.compile(r"\S*/crm-proofs-\w+")
MOST_NOT_CHECKED: Final = 0.05
"""The share of runs that may say "not checked" without need."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a benchmark has seen."""

    outcomes: Sequence[Outcome]

    @property
    def examined(self) -> list[Outcome]:
        """Return the runs that prove something."""
        return [one for one in self.outcomes if not one.problem]

    def wrong(self, kind: Kind) -> list[Outcome]:
        """Return the runs with a defect of that kind."""
        return [one for one in self.examined if any(defect.kind == kind for defect in one.defects)]

    @property
    def is_good(self) -> bool:
        """Whether verify kept its promise: in at least one run, and in every run that was asked for."""
        allowed = MOST_NOT_CHECKED * len(self.examined)
        others: list[Kind] = [kind for kind in KINDS if kind != "not checked without need"]
        return (
            bool(self.examined)
            and len(self.examined) == len(self.outcomes)
            and not any(self.wrong(kind) for kind in others)
            and len(self.wrong("not checked without need")) <= allowed
        )

    def lines(self, machine: Machine, versions: str) -> Iterator[str]:
        """Yield the figures in Markdown."""
        examined = self.examined
        yield f"{machine}; {versions}."
        yield ""
        yield f"**{len(examined)} runs**, {len(self.outcomes) - len(examined)} more could not be examined."
        yield ""
        yield "| what was expected | runs | exit 0 | exit 1 | exit 3 | other |"
        yield "|---|--:|--:|--:|--:|--:|"
        for expected in ("ok", "ok, or not checked", "not ok"):
            codes = Counter(one.exit_code for one in examined if one.expected == expected)
            other = sum(count for code, count in codes.items() if code not in {0, 1, 3})
            yield f"| {expected} | {codes.total()} | {codes[0]} | {codes[1]} | {codes[3]} | {other} |"
        yield ""
        yield "| why it may be not checked | runs | exit 0 | exit 1 | exit 3 |"
        yield "|---|--:|--:|--:|--:|"
        for reason in sorted({reason for one in examined for reason in _reasons(one)}):
            codes = Counter(one.exit_code for one in examined if not one.lost and reason in _reasons(one))
            yield f"| {reason} | {codes.total()} | {codes[0]} | {codes[1]} | {codes[3]} |"
        yield ""
        yield "| defect | runs | allowed |"
        yield "|---|--:|--:|"
        for kind in KINDS:
            allowed = f"{MOST_NOT_CHECKED:.0%} of the runs" if kind == "not checked without need" else "0"
            yield f"| {kind} | {len(self.wrong(kind))} | {allowed} |"
        yield ""
        yield from self._wrong_runs()

    def _wrong_runs(self) -> Iterator[str]:
        wrong = [one for one in self.outcomes if one.defects or one.problem]
        yield "Every wrong run:" if wrong else "No run was wrong."
        yield ""
        for one in wrong:
            yield f"- `{one.scenario}`: exit code {one.exit_code}, expected {one.expected}"
            for text in [one.problem] if one.problem else map(str, one.defects):
                yield f"  - {_FOLDER.sub('the stack', text)}"


def _reasons(outcome: Outcome) -> set[str]:
    """Return the excuses of a run without the names of entities and places in them."""
    return {_PLACE.sub("an event", reason) for reason in outcome.excuses.values()}
