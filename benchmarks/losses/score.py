"""What `troubleshoot` said of a case, and whether it was right."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.losses.case import Case
from benchmarks.losses.oracle import Difference

QUIET: Final = ("", "A_IDLE")
"""Codes of a healthy verdict: none, and the one that explains why the panels are empty."""

_AMOUNT: Final = re.compile(r"([\d,]+) (?:of [\d,]+ )?(?:events? )?(?:missing|too many|more|twice|less|unread|differ)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one case came to. `void`: the case itself did not work, or nothing was lost; it says nothing."""

    case: Case
    exit_code: int = -1
    document: Mapping[str, Any] = field(default_factory=dict)
    difference: Difference | None = None
    took_s: float = 0.0
    void: str = ""

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
        """Whether an amount is one that the oracle has counted; None where a named cause needs no amount.

        Panels show rates: between Prometheus and Grafana no events can be counted, and no integer is scored.
        """
        if self.case.oracle == "prometheus-grafana" or self.code in self.case.names:
            return None
        wanted = {
            number for numbers in (self.difference.numbers if self.difference else {}).values() for number in numbers
        }
        return bool(wanted & self.amounts)

    @property
    def amounts(self) -> set[int]:
        """The amounts that the verdict names."""
        return {int(number.replace(",", "")) for number in _AMOUNT.findall(self.text)}

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
