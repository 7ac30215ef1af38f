"""The cases of hop metrics: what breaks each check, and what keeps it from being looked at."""

from runbook.conservation.boundary import Boundary
from runbook.diagnosis import boundaries
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import NO_STATE, Case
from tests.diagnosis.recorded import (
    SINK,
    answered,
    crossed,
    given,
    refused,
    scrape,
    unspoken,
)

CASES = (
    Case(
        hop="metrics",
        code="S_METRICS_DOWN",
        broken=(given(Facts.page, refused()) | given(Facts.targets, (scrape("down", error="connection refused"),))),
        unseen=(given(Facts.state, NO_STATE, SINK) | given(Facts.page, refused())),
        fix="PROM_PORT",
    ),
    Case(
        hop="metrics",
        code="WRONG_ANSWER",
        broken=given(Facts.page, answered(401, "unauthorized")),
        unseen=given(Facts.page, answered(200, "too_large")),
        says="401",
        fix="look",
    ),
    Case(
        hop="metrics",
        code="WRONG_ANSWER",
        broken=given(Facts.page, unspoken("tls_on_plain_port")),
        unseen=given(Facts.page, unspoken("proxy")),
        fix="look",
    ),
    Case(
        hop="metrics",
        code="LOSS_KAFKA_SINK",
        broken=given(boundaries.kafka_sink, crossed("Kafka to sink", left=12)),
        unseen=given(boundaries.kafka_sink, Boundary(name="Kafka to sink", why="cannot be read")),
        says="17 in, 12 out",
        fix="docker logs --tail 100 aether-crm-events-sink: its lines since",
    ),
)
