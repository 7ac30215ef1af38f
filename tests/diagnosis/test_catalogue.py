"""The checks as a whole: found from the hops, told in the order of the flow, one row of the document for each code."""

from pathlib import Path

import pytest

from docs import generated
from runbook.diagnosis import checks
from runbook.diagnosis.catalogue import CHECKS, GRAPH, graph_of
from runbook.diagnosis.check import Check
from runbook.diagnosis.facts import Facts
from runbook.errors import UsageError
from runbook.flow import HOPS

CONTAINERS = [
    *("keycloak", "proxy", "gateway", "apexflow", "database", "kafka", "sink", "prometheus", "grafana", "alertmanager")
]


def test_each_hop_has_its_module_and_each_module_its_hop() -> None:
    """Adding a hop is one line of the flow and one module; a module that no hop names would be looked at by nobody."""
    modules = {path.stem for path in Path(checks.__path__[0]).glob("*.py")} - {"__init__"}

    assert modules == set(HOPS)
    assert {check.hop for check in CHECKS} == set(HOPS)


def test_faults_are_told_in_the_order_of_the_flow() -> None:
    """What runs the services comes first; what knows no cause after the flow; old test data last."""
    in_flow = [check for check in GRAPH.checks if check.told == "in_flow"]
    later = [check.code for check in GRAPH.checks if check.told != "in_flow"]

    assert GRAPH.checks[0].code == "DOCKER_DOWN"
    assert [check.hop for check in in_flow] == sorted((check.hop for check in in_flow), key=HOPS.index)
    assert list(GRAPH.checks[: len(in_flow)]) == in_flow
    of_containers = [check.hop for check in GRAPH.checks if check.code == "CTR_UNHEALTHY"]
    assert of_containers == CONTAINERS
    assert [code for code in later if code != "CTR_UNHEALTHY"] == [
        "LOSS_API_KAFKA",
        "LOSS_KAFKA_SINK",
        "LOSS_SINK_PROMETHEUS",
        "LOSS_PROMETHEUS_GRAFANA",
        "GW_DUPLICATE",
    ]


@pytest.mark.parametrize("hop", CONTAINERS)
def test_a_container_is_told_before_what_its_callers_see(hop: str) -> None:
    """The callers are blocked by it, or come later."""
    of_container = [check for check in GRAPH.checks if check.hop == hop and check.code.startswith("CTR_")]
    others = [check for check in GRAPH.checks if check.hop == hop and check not in of_container]

    assert max(map(place, (one for one in of_container if one.told == "in_flow"))) < min(
        map(place, others), default=len(CHECKS)
    )


def place(check: Check[Facts]) -> int:
    return GRAPH.checks.index(check)


def test_every_check_has_its_words() -> None:
    """A claim, a diagnosis, what tells it; and a fix, unless nothing is wrong."""
    assert [check.code for check in CHECKS if not (check.claim and check.diagnosis and check.sign)] == []
    assert [check.code for check in CHECKS if not check.fix] == ["A_IDLE"]


def test_a_code_at_several_hops_is_one_row() -> None:
    """Any container can exit: the words are the same wherever it is looked for, and the row names the hops."""
    rows = list(generated.faults())[2:]

    assert len(rows) == len({check.code for check in CHECKS})
    assert next(row for row in rows if "CTR_EXITED" in row).split(" | ")[1] == ", ".join(CONTAINERS)
    assert "{" not in "".join(rows)


def test_a_hop_is_chosen_by_name() -> None:
    """`--hop metrics` looks at the page and at what it needs; an unknown name lists the known ones."""
    assert {check.hop for check in graph_of("metrics").checks} == {
        "runtime",
        "kafka",
        "sink",
        "metrics",
    }
    with pytest.raises(UsageError, match="runtime, keycloak, token, proxy, gateway"):
        graph_of("mainframe")
    with pytest.raises(UsageError, match="did you mean prometheus"):
        graph_of("promethues")
