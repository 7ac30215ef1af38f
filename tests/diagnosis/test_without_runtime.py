"""The checks of a target without a runtime: what only a runtime can say is not asked, the rest judges as before."""

from typing import Any

import pytest

from runbook.diagnosis.catalogue import GRAPH, graph_of
from runbook.diagnosis.check import Check, Ok, broken
from runbook.diagnosis.checks.kafka import cluster
from runbook.diagnosis.engine import Graph
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.verdict import verdict
from runbook.errors import UsageError
from runbook.settings import Target
from runbook.systems.runtime import ServiceState
from runbook.systems.unmanaged.client import UnmanagedRuntime
from tests.diagnosis.recorded import HEALTHY, Change, Recorded, silent

WITHOUT = graph_of(None, has_runtime=False)
OF_RUNTIME = {
    *("DOCKER_DOWN", "CTR_MISSING", "CTR_OOM", "CTR_PAUSED", "CTR_LOOP", "CTR_EXITED", "CTR_UNHEALTHY"),
    *("PORT_UNPUBLISHED", "WRONG_NETWORK", "R_NOT_MOUNTED", "R_STALE_INODE"),
}
TARGET = Target.from_tables("live", {"runtime": {"kind": "none"}}, source="test")


def walk(*changes: Change) -> Any:  # noqa: ANN401 - the verdict and what follows it
    facts = dict(HEALTHY)
    for change in changes:
        facts.update(change)
    unknown = {key: ServiceState(name="x", found=True, status="unknown") for key in facts if key[0] is Facts.state}
    recorded = Recorded(facts | unknown, TARGET)
    recorded.runtime = UnmanagedRuntime(where="kind", log_setting="log_file")
    examined = WITHOUT.examine(recorded, deadline_s=30.0)
    return verdict(examined)[0], examined


def test_what_only_a_runtime_can_say_is_left_out_and_nothing_else() -> None:
    codes, every = {check.code for check in WITHOUT.checks}, {check.code for check in GRAPH.checks}

    assert every - codes == OF_RUNTIME
    assert not codes & OF_RUNTIME


def test_a_healthy_installation_without_a_runtime_is_healthy() -> None:
    """What is not asked is not in the list, so it does not make the verdict inconclusive."""
    judged, examined = walk()

    assert judged.outcome == "healthy", judged
    assert {one.result.status for one in examined} == {"ok"}


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (Facts.prometheus_ready, "P_DOWN"),
        (Facts.grafana_health, "F_DOWN"),
        (Facts.alertmanager_ready, "M_DOWN"),
        (Facts.realm, "KC_DOWN"),
        (Facts.page, "S_METRICS_DOWN"),
        (cluster, "Q_DOWN"),
    ],
)
def test_a_service_that_is_silent_is_named_by_its_own_claim(fact: Any, code: str) -> None:  # noqa: ANN401 - any fact
    judged, _ = walk(silent(fact))

    assert (judged.outcome, judged.code) == ("fault", code)
    assert "docker" not in judged.fix


def test_what_needed_a_claim_that_is_left_out_needs_what_that_one_needed() -> None:
    """A <- B <- C without B: C still waits for a; `unless` on what is left out is no need."""

    def check(code: str, *needs: str, unless: tuple[str, ...] = (), is_ok: bool = True) -> Check[None]:
        seen = saw("x", code)
        return Check(
            code=code, hop="x", claim=code, diagnosis=code, sign=code, fix=code, needs=needs, unless=unless,
            run=lambda _: Ok((seen,)) if is_ok else broken(seen), of_runtime=code == "B",
        )  # fmt: skip

    graph = Graph([check("A", is_ok=False), check("B", "A"), check("C", "B"), check("D", unless=("B",))], hops=("x",))

    cut = graph.without(lambda one: one.of_runtime)

    statuses = {one.check.code: one.result.status for one in cut.examine(None, deadline_s=5)}
    assert statuses == {"A": "broken", "C": "blocked", "D": "ok"}


def test_the_hop_of_the_runtime_has_nothing_to_ask() -> None:
    with pytest.raises(UsageError, match="the runtime of this target is none"):
        graph_of("runtime", has_runtime=False)
