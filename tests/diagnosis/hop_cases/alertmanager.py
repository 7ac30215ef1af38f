"""The cases of hop alertmanager: what breaks each check, and what keeps it from being looked at."""

from dataclasses import replace

from runbook.diagnosis.checks import alertmanager
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import NOT_READY, ODD, Case, container_cases, port_case
from tests.diagnosis.recorded import (
    ALERTMANAGER,
    answered,
    config,
    given,
    refused,
    silence,
    silent,
    unspoken,
)

CASES = (
    *container_cases(
        "alertmanager", ALERTMANAGER, silent(Facts.alertmanager_ready, alertmanager.silences), Facts.alertmanager_ready
    ),
    port_case("alertmanager", ALERTMANAGER, Facts.alertmanager_ready, alertmanager.silences),
    Case(
        hop="alertmanager",
        code="M_DOWN",
        broken=(given(Facts.alertmanager_ready, NOT_READY) | given(alertmanager.silences, refused())),
        unseen=given(Facts.alertmanager_ready, ODD),
    ),
    Case(
        hop="alertmanager",
        code="WRONG_ANSWER",
        broken=given(Facts.alertmanager_ready, answered(403, "forbidden"))
        | given(alertmanager.silences, answered(403, "forbidden")),
        unseen=given(Facts.alertmanager_ready, unspoken("proxy")) | given(alertmanager.silences, refused()),
        says="403",
        fix="look",
    ),
    Case(
        hop="alertmanager",
        code="M_DISCONNECTED",
        broken=given(Facts.config, config(has_alertmanagers=False)),
        unseen=given(Facts.config, refused()),
    ),
    Case(
        hop="alertmanager",
        code="M_SILENCED",
        broken=given(alertmanager.silences, (silence("SomethingElse"), silence("CrmEventsSinkDown"))),
        unseen=given(alertmanager.silences, refused()),
        says="90d3ca12",
        fix="inv unsilence",
    ),
    Case(
        hop="alertmanager",
        code="M_SILENCED",
        broken=given(
            alertmanager.silences,
            (replace(silence("CrmEventsSinkDown"), id="5e000002", author="ben"), silence("CrmEventsSinkDown")),
        ),
        unseen=given(alertmanager.silences, refused()),
        says="5e000002",
        fix="inv unsilence --silence 5e000002, then inv unsilence --silence 90d3ca12",
    ),
)
