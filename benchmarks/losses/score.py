"""What `troubleshoot` said of a case, and whether it was right."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from benchmarks.losses.case import Case
from benchmarks.losses.oracle import Difference

QUIET: Final = ("", "A_IDLE")
"""Codes of a healthy verdict: none, and the one that explains why the panels are empty."""
RIGHT: Final = frozenset({"right", "quiet", "true name"})
"""Scores that are no miss."""

_PLACE: Final = re.compile(
    r" to [^,]+, (?P<topic>\S+) (?:(?P<none>of no tenant)|(?P<tenant>.+?))(?:, again)?(?: from .+)?$"
)
_SIDES: Final = re.compile(r"(?P<before>[\d,]+) in, (?P<after>[\d,]+) out")


def _are_true(rows: Sequence[int], numbers: Collection[int]) -> bool:
    """Say whether the sum of the rows, or each that is not 0, is one of the numbers."""
    return sum(rows) in numbers or (any(rows) and all(row in numbers for row in rows if row))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one case came to. `sums` are all events at each source of a decoy; `fix`: see fixes.typed.

    `void`: the case itself did not work, or nothing was lost; it says nothing.
    """

    case: Case
    exit_code: int = -1
    document: Mapping[str, Any] = field(default_factory=dict)
    difference: Difference | None = None
    sums: str = ""
    fix: str = ""
    took_s: float = 0.0
    void: str = ""

    def line(self) -> str:
        """Return it as a line of JSON."""
        fields = {name: getattr(self, name) for name in ("exit_code", "document", "sums", "fix", "took_s", "void")}
        counted = self.difference.document() if self.difference else None
        return json.dumps({"case": self.case.name, "score": self.score, **fields, "counted": counted})

    @classmethod
    def of(cls, line: str, by_name: Mapping[str, Case]) -> Self:
        """Return what `line` has written."""
        fields = json.loads(line)
        fields.pop("score")
        counted = fields.pop("counted")
        case = by_name[fields.pop("case")]
        return cls(case=case, difference=Difference.of(counted) if counted else None, **fields)

    @property
    def verdict(self) -> Mapping[str, Any]:
        """The verdict of the document."""
        return self.document.get("verdict") or {}

    @property
    def outcome(self) -> str:
        """Healthy, fault, inconclusive, or nothing."""
        return str(self.verdict.get("outcome", ""))

    @property
    def code(self) -> str:
        """The code that was named."""
        return str(self.verdict.get("code", ""))

    @property
    def named(self) -> tuple[str, ...]:
        """All codes that were named as faults: the first, and those that are independent of it."""
        verdicts = [self.verdict, *(self.document.get("also") or ())]
        return tuple(one["code"] for one in verdicts if one and one["outcome"] == "fault")

    @property
    def text(self) -> str:
        """What the verdict says, claim and evidence."""
        pieces = [str(self.verdict.get("claim", ""))]
        pieces += [f"{one['source']}: {one['saw']}" for one in self.verdict.get("evidence") or ()]
        return " | ".join(pieces)

    @property
    def is_right_boundary(self) -> bool:
        """Whether the first code is one of those that are true."""
        return self.code in {*self.case.boundary, *self.case.names}

    @property
    def is_right_integer(self) -> bool | None:
        """Whether each topic and tenant that the verdict says anything of is told as the oracle has counted it.

        At least one that differs must be told. None: nothing is scored, because a named cause needs no integer, and
        panels show rates, so that no events can be counted between Prometheus and Grafana.
        """
        if self.case.oracle == "prometheus-grafana" or self.code in self.case.names or self.difference is None:
            return None
        told, differ = self.told, self.difference.differ
        is_told = any(any(rows) and _are_true(rows, differ[key]) for key, rows in told.items() if key in differ)
        return is_told and all(_are_true(rows, differ.get(key, {0})) for key, rows in told.items())

    @property
    def told(self) -> dict[tuple[str, str], list[int]]:
        """Return out less in, row by row of the verdict's evidence, by topic and tenant.

        There are two rows where events are there again: what is missing, and what is too much.
        """
        told: dict[tuple[str, str], list[int]] = {}
        for one in self.verdict.get("evidence") or ():
            place, sides = _PLACE.search(one["source"]), _SIDES.search(one["saw"])
            if place and sides:
                before, after = (int(sides[name].replace(",", "")) for name in ("before", "after"))
                told.setdefault((place["topic"], place["tenant"] or ""), []).append(after - before)
        return told

    @property
    def wrong_names(self) -> tuple[str, ...]:
        """Codes that are not true: causes that were invented, or another boundary."""
        return tuple(code for code in self.named if code not in {*self.case.boundary, *self.case.names})

    @property
    def score(self) -> str:
        """One word for the table."""
        if self.void:
            return "void"
        if not self.outcome:
            return "no verdict"
        if not self.case.is_injection:
            return self._decoy_score()
        if self.is_right_boundary and self.outcome == "fault":
            return "right" if self.is_right_integer is not False else "wrong integer"
        if self.outcome == "fault":
            return "wrong boundary" if self.code.startswith("LOSS_") else "wrong name"
        return str(self.outcome)

    def _decoy_score(self) -> str:
        if self.wrong_names:
            return "named"
        if self.outcome == "inconclusive":
            return "inconclusive"
        return "quiet" if self.outcome == "healthy" else "true name"
