"""The cases of hop metrics: what breaks each check, and what keeps it from being looked at."""

from cases import NO_STATE, Case
from recorded import (
    SINK,
    given,
    refused,
    scrape,
)

from runbook.diagnosis.facts import Facts

CASES = (
    Case(
        hop="metrics",
        code="S_METRICS_DOWN",
        broken=(given(Facts.page, refused()) | given(Facts.targets, (scrape("down", error="connection refused"),))),
        unseen=(given(Facts.state, NO_STATE, SINK) | given(Facts.page, refused())),
        fix="PROM_PORT",
    ),
)
