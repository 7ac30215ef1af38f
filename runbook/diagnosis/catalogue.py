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


def graph_of(hop: str | None, *, has_runtime: bool = True) -> Graph[Facts]:
    """Return all checks, or those of one hop with what they need; without a runtime, what can be asked without.

    Raises UsageError for an unknown hop, and for one that has nothing to ask without a runtime.
    """
    graph = GRAPH if has_runtime else GRAPH.without(lambda check: check.of_runtime)
    if hop is None:
        return graph
    if hop not in HOPS:
        raise UsageError(f"There is no hop {hop!r}", where="option --hop", fix=one_of(hop, HOPS))
    if not any(check.hop == hop for check in graph.checks):
        seen = f"Nothing can be checked at the hop {hop}: the runtime of this target is none"
        raise UsageError(seen, where="option --hop", fix="leave --hop out, or choose another hop")
    return graph.only(hop)
