"""The cases of hop prometheus: what breaks each check, and what keeps it from being looked at."""

from runbook.conservation.boundary import Boundary
from runbook.diagnosis import boundaries
from runbook.diagnosis.checks import prometheus
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import LOOKUP, NO_STATE, NOT_READY, ODD, Case, container_cases, port_case
from tests.diagnosis.recorded import (
    PROMETHEUS,
    answered,
    config,
    crossed,
    given,
    refused,
    scrape,
    silent,
    unspoken,
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
        unseen=given(Facts.prometheus_ready, ODD),
    ),
    Case(
        hop="prometheus",
        code="P_STARTING",
        broken=given(Facts.prometheus_ready, NOT_READY) | given(Facts.config, answered(503, "unavailable")),
        unseen=given(Facts.prometheus_ready, unspoken("proxy")),
        says="503 Service Unavailable",
        fix="docker logs --tail 100 aether-prom",
    ),
    Case(
        hop="prometheus",
        code="P_TLS",
        broken={key: unspoken("tls_other_name") for key in silent(Facts.prometheus_ready, Facts.config)},
        unseen=given(Facts.prometheus_ready, unspoken("proxy")),
        says="met tls_other_name",
        fix="look",
    ),
    Case(
        hop="prometheus",
        code="P_AUTH",
        broken={key: answered(401, "unauthorized") for key in silent(Facts.prometheus_ready, Facts.config)},
        unseen=given(Facts.prometheus_ready, answered(200, "too_large")),
        fix="look",
    ),
    Case(
        hop="prometheus",
        code="P_AUTH",
        broken={key: answered(403, "forbidden") for key in silent(Facts.prometheus_ready, Facts.config)},
        unseen=given(Facts.prometheus_ready, answered(200, "too_large")),
        fix="look",
    ),
    Case(
        hop="prometheus",
        code="P_PREFIX",
        broken={key: answered(404, "no_path") for key in silent(Facts.prometheus_ready, Facts.config)}
        | given(prometheus.leads_to, "/prometheus/graph"),
        unseen=given(Facts.prometheus_ready, answered(200, "too_large")),
        says="its root leads to /prometheus",
        fix="set RUNBOOK_PROMETHEUS_URL to http://localhost:9090/prometheus",
    ),
    Case(
        hop="prometheus",
        code="P_PREFIX",
        broken={key: answered(404, "no_path") for key in silent(Facts.prometheus_ready, Facts.config)},
        unseen=given(Facts.prometheus_ready, answered(200, "too_large")),
        fix="look",
    ),
    Case(
        hop="prometheus",
        code="WRONG_ANSWER",
        broken={key: answered(502, "bad_gateway") for key in silent(Facts.prometheus_ready, Facts.config)},
        unseen=given(Facts.prometheus_ready, answered(200, "too_large")),
        says="502",
        fix="look",
    ),
    Case(
        hop="prometheus",
        code="WRONG_ANSWER",
        broken={key: answered(200, "page") for key in silent(Facts.prometheus_ready, Facts.config)},
        unseen=given(Facts.prometheus_ready, answered(200, "too_large")),
        fix="look",
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
