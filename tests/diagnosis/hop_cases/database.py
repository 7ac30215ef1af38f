"""The cases of hop database: what breaks each check, and what keeps it from being looked at."""

from cases import (
    Case,
    exited,
)
from recorded import (
    DATABASE,
    given,
    probe,
)

from runbook.diagnosis.checks import gateway

CASES = (
    Case(
        hop="database",
        code="DB_DOWN",
        broken=exited(DATABASE) | given(gateway.probe, probe(500)),
        unseen=given(gateway.probe, probe(500)),
    ),
)
