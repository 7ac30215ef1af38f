"""The cases of hop panels: what breaks each check, and what keeps it from being looked at."""

from runbook.conservation.boundary import Boundary
from runbook.diagnosis import boundaries
from runbook.diagnosis.checks import panels
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import Case
from tests.diagnosis.recorded import (
    LEADS,
    crossed,
    given,
    series,
    topics,
)

CASES = (
    Case(
        hop="panels",
        code="V_BORN",
        broken=(given(panels.rates, {LEADS: 0.0}) | given(panels.series, series(3.0, 3.0, 3.0))),
        unseen=(given(panels.rates, {}) | given(panels.series, ())),
        says="3 samples: [3.0]",
        fix="the panels show the next events",
    ),
    Case(
        hop="panels",
        code="A_IDLE",
        unseen=(given(Facts.topics, topics(600.0, unread=4)) | given(panels.unread, 4) | given(panels.rates, {})),
    ),
    Case(
        hop="panels",
        code="LOSS_PROMETHEUS_GRAFANA",
        broken=given(boundaries.prometheus_grafana, crossed("Prometheus to Grafana", left=12)),
        unseen=given(boundaries.prometheus_grafana, Boundary(name="Prometheus to Grafana", why="cannot be read")),
        says="17 in, 12 out",
        fix="docker logs --tail 100 aether-grafana: its lines since",
    ),
)
