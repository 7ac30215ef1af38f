"""What a walk over the graph comes to: the fault, or why there is none to name."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from runbook.diagnosis.check import Broken, Check, NotChecked, Ok
from runbook.diagnosis.engine import Examined
from runbook.model import Verdict

F = TypeVar("F")


def verdict(examined: Sequence[Examined[F]]) -> tuple[Verdict, tuple[Verdict, ...]]:
    """Return the verdict and the further, independent faults, whatever the order of `examined`.

    The first broken check along the flow is the fault; without one, anything not checked leaves it inconclusive.
    """
    ordered = sorted(examined, key=lambda one: one.rank)
    quiet = tuple(one.check.code for one in ordered if isinstance(one.settled, Ok) and not one.settled.is_exercised)
    faults = [_fault(one.check, one.settled) for one in ordered if isinstance(one.settled, Broken)]
    if faults:
        return replace(faults[0], not_exercised=quiet), tuple(faults[1:])
    unseen = [one for one in ordered if isinstance(one.settled, NotChecked)]
    judged = _inconclusive(unseen) if unseen or not ordered else _healthy(ordered)
    return replace(judged, not_exercised=quiet), ()


def _fault(check: Check[F], broken: Broken) -> Verdict:
    diagnosis, fix = check.words(broken)
    return Verdict(outcome="fault", code=check.code, claim=diagnosis, evidence=broken.evidence, fix=fix)


def _inconclusive(unseen: Sequence[Examined[F]]) -> Verdict:
    """Return what could not be checked, without what only follows from it."""
    roots = [(one, one.settled) for one in unseen if isinstance(one.settled, NotChecked) and not one.settled.by]
    codes = ", ".join(one.check.code for one, _ in roots) or "everything"
    return Verdict(
        outcome="inconclusive",
        claim=f"Nothing that was checked is broken; not checked: {codes}",
        evidence=tuple(item for one, _ in roots for item in one.result.evidence),
        fix=next((settled.fix for _, settled in roots if settled.fix), ""),
    )


def _healthy(ordered: Sequence[Examined[F]]) -> Verdict:
    for one in ordered:
        if isinstance(one.settled, Ok) and one.settled.explains:
            check, seen = one.check, one.settled.evidence
            return Verdict(outcome="healthy", code=check.code, claim=check.diagnosis, evidence=seen)
    evidence = tuple(dict.fromkeys(item for one in ordered for item in one.result.evidence))
    claim = f"All {len(ordered)} checks of the flow are ok"
    return Verdict(outcome="healthy", claim=claim, evidence=evidence)
