"""The cases of hop prometheus: what breaks each check, and what keeps it from being looked at."""

from runbook.conservation.boundary import Boundary
from runbook.diagnosis import boundaries
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import LOOKUP, NO_STATE, Case, container_cases, port_case
from tests.diagnosis.recorded import (
    PROMETHEUS,
    answered,
    config,
    crossed,
    given,
    refused,
    scrape,
    silent,
)

CASES = (
    *container_cases("prometheus", PROMETHEUS, silent(Facts.prometheus_ready), Facts.prometheus_ready),
    port_case("prometheus", PROMETHEUS, Facts.prometheus_ready),
    Case(
        hop="prometheus",
        code="WRONG_NETWORK",
        broken=(
            given(Facts.networks, frozenset({"monitoring"}), PROMETHEUS)
            | given(Facts.targets, (scrape("down", error=LOOKUP.format("aether-crm-events-sink")),))
        ),
        unseen=(
            given(Facts.networks, NO_STATE, PROMETHEUS)
            | given(Facts.targets, (scrape("down", error=LOOKUP.format("aether-crm-events-sink")),))
        ),
        says="monitoring",
        fix="docker network connect monitoring crm-events-sink",
    ),
    Case(
        hop="prometheus",
        code="P_DOWN",
        broken=given(Facts.prometheus_ready, refused()),
        unseen=given(Facts.prometheus_ready, answered(200)),
    ),
    Case(
        hop="prometheus",
        code="P_NO_JOB",
        broken=(given(Facts.config, config(jobs=("prometheus",))) | given(Facts.targets, ())),
        unseen=given(Facts.config, refused()),
        says="scrape jobs: prometheus",
        fix="add the job crm-events-sink",
    ),
    Case(
        hop="prometheus",
        code="P_TARGET",
        broken=given(Facts.targets, (scrape("down", error="no such host"),)),
        unseen=given(Facts.targets, (scrape("unknown"),)),
        says="no such host",
    ),
    Case(
        hop="prometheus",
        code="LOSS_SINK_PROMETHEUS",
        broken=given(boundaries.sink_prometheus, crossed("sink to Prometheus", left=12)),
        unseen=given(boundaries.sink_prometheus, Boundary(name="sink to Prometheus", why="cannot be read")),
        says="17 in, 12 out",
        fix="docker logs --tail 100 aether-prom: its lines since",
    ),
)
