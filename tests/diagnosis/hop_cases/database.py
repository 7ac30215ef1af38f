"""The cases of hop database: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import gateway
from tests.diagnosis.cases import (
    Case,
    exited,
)
from tests.diagnosis.recorded import (
    DATABASE,
    given,
    probe,
)

CASES = (
    Case(
        hop="database",
        code="DB_DOWN",
        broken=exited(DATABASE) | given(gateway.probe, probe(500)),
        unseen=given(gateway.probe, probe(500)),
    ),
)
