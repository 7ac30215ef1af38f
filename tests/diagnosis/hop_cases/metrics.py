"""The cases of hop metrics: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import NO_STATE, Case
from tests.diagnosis.recorded import (
    SINK,
    given,
    refused,
    scrape,
)

CASES = (
    Case(
        hop="metrics",
        code="S_METRICS_DOWN",
        broken=(given(Facts.page, refused()) | given(Facts.targets, (scrape("down", error="connection refused"),))),
        unseen=(given(Facts.state, NO_STATE, SINK) | given(Facts.page, refused())),
        fix="PROM_PORT",
    ),
)
