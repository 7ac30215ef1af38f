"""All checks as one graph, in the order of the flow."""

from typing import Final

from runbook.diagnosis.checks import (
    alertmanager,
    containers,
    gateway,
    grafana,
    kafka,
    keycloak,
    panels,
    prometheus,
    rules,
    staleness,
)
from runbook.diagnosis.engine import Graph
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.faults import FAULTS
from runbook.errors import UsageError
from runbook.flow import HOPS

CHECKS: Final = (
    *containers.CHECKS,
    *keycloak.CHECKS,
    *gateway.CHECKS,
    *kafka.CHECKS,
    *prometheus.CHECKS,
    *rules.CHECKS,
    *staleness.CHECKS,
    *grafana.CHECKS,
    *alertmanager.CHECKS,
    *panels.CHECKS,
)
GRAPH: Final[Graph[Facts]] = Graph(CHECKS, order=[fault.code for fault in FAULTS], hops=HOPS)


def graph_of(hop: str | None) -> Graph[Facts]:
    """Return all checks, or those of one hop with what they need. Raises UsageError for an unknown hop."""
    if hop is None:
        return GRAPH
    known = [name for name in HOPS if any(check.hop == name for check in CHECKS)]
    if hop not in known:
        raise UsageError(f"There is no hop {hop!r}", where="option --hop", fix=f"choose one of {', '.join(known)}")
    return GRAPH.only(hop)
