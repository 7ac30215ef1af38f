"""The cases of hop runtime: what breaks each check, and what keeps it from being looked at."""

from cases import NO_RUNTIME, SILENT, Case
from recorded import (
    SINK,
    answered,
    given,
)

from runbook.diagnosis.facts import Facts

CASES = (
    Case(
        hop="runtime",
        code="DOCKER_DOWN",
        broken=NO_RUNTIME | SILENT,
        unseen=SILENT | given(Facts.state, answered(500), SINK),
        says="none of them answers",
        fix="start it",
    ),
)
