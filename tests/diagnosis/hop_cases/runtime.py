"""The cases of hop runtime: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import NO_RUNTIME, SILENT, Case
from tests.diagnosis.recorded import (
    SINK,
    answered,
    given,
)

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
