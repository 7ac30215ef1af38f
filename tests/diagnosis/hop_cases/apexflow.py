"""The cases of hop apexflow: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import gateway
from runbook.diagnosis.facts import Facts
from runbook.systems.runtime import LogLine
from tests.diagnosis.cases import Case, container_cases
from tests.diagnosis.recorded import (
    APEXFLOW,
    GATEWAY,
    NOW,
    given,
    probe,
    refused,
    timed_out,
)

MOVED = "correct the gateway's address of apexflow, then docker compose up -d --force-recreate gateway"
CASES = (
    *container_cases("apexflow", APEXFLOW, given(gateway.probe, probe(502))),
    Case(
        hop="apexflow",
        code="GW_UPSTREAM",
        broken=given(gateway.probe, probe(503)),
        unseen=given(gateway.probe, refused()),
        says="401 missing bearer token",
        fix="docker restart aether-apexflow",
    ),
    *(
        Case(
            hop="apexflow",
            code="GW_UPSTREAM",
            broken=given(gateway.probe, probe(502)) | given(Facts.log, (LogLine(text=line, at=NOW),), GATEWAY),
            unseen=given(gateway.probe, refused()),
            says=line,
            fix=fix,
        )
        for line, fix in (
            ("upstream 127.0.0.1:8099: [Errno 111] Connection refused", MOVED),
            ('Post "http://apexflowx:8000/jobs": dial tcp: lookup apexflowx on 127.0.0.11:53: no such host', MOVED),
            (
                "connect to apexflow:8000 refused",
                "docker restart aether-apexflow; if that changes nothing, correct apex",
            ),
        )
    ),
    Case(
        hop="apexflow",
        code="GW_UPSTREAM",
        broken=given(gateway.probe, timed_out()),
        unseen=given(gateway.probe, refused()),
        says="did not answer within 3 s",
        fix="docker restart aether-apexflow",
    ),
    Case(
        hop="apexflow",
        code="GW_UPSTREAM",
        broken=given(gateway.probe, probe(502)) | given(Facts.networks, frozenset({"other"}), APEXFLOW),
        unseen=given(gateway.probe, refused()),
        says="other",
        fix="docker network connect aether apexflow",
    ),
)
