"""All checks as one graph. Each hop of the flow has a module of `diagnosis/checks` that is called like it."""

from importlib import import_module
from typing import Final

from runbook.diagnosis.check import Check, GraphError
from runbook.diagnosis.engine import Graph
from runbook.diagnosis.facts import Facts
from runbook.errors import UsageError
from runbook.flow import HOPS
from runbook.wording import one_of


def checks_of(hop: str) -> tuple[Check[Facts], ...]:
    """Return the checks of a hop's module. Raises GraphError for one that stands in the module of another hop."""
    checks: tuple[Check[Facts], ...] = import_module(f"runbook.diagnosis.checks.{hop}").CHECKS
    for check in checks:
        if check.hop != hop:
            raise GraphError(f"{check.code} is a check of {check.hop} and stands in checks/{hop}.py")
    return checks


CHECKS: Final = tuple(check for hop in HOPS for check in checks_of(hop))
GRAPH: Final[Graph[Facts]] = Graph(CHECKS, hops=HOPS)


def graph_of(hop: str | None) -> Graph[Facts]:
    """Return all checks, or those of one hop with what they need. Raises UsageError for an unknown hop."""
    if hop is None:
        return GRAPH
    if hop not in HOPS:
        raise UsageError(f"There is no hop {hop!r}", where="option --hop", fix=one_of(hop, HOPS))
    return GRAPH.only(hop)
