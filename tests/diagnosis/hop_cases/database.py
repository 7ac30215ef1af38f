"""The cases of hop database: what breaks each check, and what keeps it from being looked at."""

from dataclasses import replace
from datetime import timedelta

from runbook.diagnosis.checks import gateway
from runbook.diagnosis.facts import Facts
from runbook.systems.runtime import LogLine
from tests.diagnosis.cases import Case, container_cases
from tests.diagnosis.recorded import APEXFLOW, DATABASE, NOW, given, probe, state

COMPLAINT = LogLine(text="PSQLException: Connection to apexflow-db:5432 refused", at=NOW)
LONG_AGO = replace(COMPLAINT, at=NOW - timedelta(hours=1))
CASES = (
    *(
        one
        for one in container_cases("database", DATABASE, given(gateway.probe, probe(500)))
        if one.code != "CTR_MISSING"
    ),
    Case(
        hop="database",
        code="CTR_MISSING",
        unseen=given(Facts.state, state("apexflow-db", "", found=False), DATABASE) | given(gateway.probe, probe(500)),
    ),
    Case(
        hop="database",
        code="DB_DOWN",
        broken=given(gateway.probe, probe(500)) | given(Facts.log, (COMPLAINT,), APEXFLOW),
        unseen=given(gateway.probe, probe(500)),
        says="Connection to apexflow-db:5432 refused",
        fix="docker restart aether-apexflow-db",
    ),
    Case(
        hop="database",
        code="DB_DOWN",
        broken=given(gateway.probe, probe(500)) | given(Facts.networks, frozenset({"none"}), DATABASE),
        unseen=given(gateway.probe, probe(500)) | given(Facts.log, (LONG_AGO,), APEXFLOW),
        says="none",
        fix="docker network connect aether apexflow-db",
    ),
)
