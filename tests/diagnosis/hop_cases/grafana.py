"""The cases of hop grafana: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis import files
from runbook.diagnosis.checks import grafana
from runbook.diagnosis.facts import Facts
from runbook.errors import AnswerError
from runbook.systems.grafana.client import DatasourceHealth, GrafanaHealth
from tests.diagnosis.cases import NO_STATE, ODD, SILENT_SOURCE, Case, container_cases, file, port_case
from tests.diagnosis.recorded import (
    DASHBOARD_BEFORE,
    GRAFANA,
    answered,
    given,
    refused,
    silent,
    unspoken,
)

CASES = (
    *container_cases("grafana", GRAFANA, silent(Facts.grafana_health, grafana.dashboard), Facts.grafana_health),
    port_case("grafana", GRAFANA, Facts.grafana_health, grafana.dashboard),
    Case(
        hop="grafana",
        code="WRONG_NETWORK",
        broken=(
            given(Facts.networks, frozenset({"dashboards"}), GRAFANA) | given(grafana.datasource_health, SILENT_SOURCE)
        ),
        unseen=(given(Facts.networks, NO_STATE, GRAFANA) | given(grafana.datasource_health, SILENT_SOURCE)),
        says="no such host",
        fix="docker network connect dashboards prometheus",
    ),
    Case(
        hop="grafana",
        code="F_DS_MISSING",
        broken=given(
            grafana.datasource,
            AnswerError("it has Loki", where="there", fix="", status=200, code=grafana.NO_DATASOURCE),
        ),
        unseen=given(grafana.datasource, ODD),
        says="it has Loki",
        fix="RUNBOOK_GRAFANA_DATASOURCE",
    ),
    Case(
        hop="grafana",
        code="F_DS_URL",
        broken=given(grafana.datasource_health, DatasourceHealth(ok=False, message="connection refused")),
        unseen=given(grafana.datasource, ODD),
        says="http://aether-prom:9090: connection refused",
        fix="into the datasource",
    ),
    Case(
        hop="grafana",
        code="F_DOWN",
        broken=(
            given(Facts.grafana_health, GrafanaHealth(ok=False, version="", status=503))
            | given(grafana.dashboard, refused())
        ),
        unseen=given(Facts.grafana_health, ODD),
    ),
    Case(
        hop="grafana",
        code="F_AUTH",
        broken=given(grafana.dashboard, answered(401, "unauthorized")),
        unseen=given(grafana.dashboard, ODD),
        fix="RUNBOOK_GRAFANA_PASSWORD_FILE",
    ),
    Case(
        hop="grafana",
        code="F_FORBIDDEN",
        broken=given(grafana.dashboard, answered(403, "forbidden")),
        unseen=given(grafana.dashboard, refused()),
        fix="look",
    ),
    Case(
        hop="grafana",
        code="WRONG_ANSWER",
        broken=given(Facts.grafana_health, unspoken("tls_unknown_ca"))
        | given(grafana.dashboard, unspoken("tls_unknown_ca")),
        unseen=given(grafana.dashboard, answered(200, "too_large")),
        says="met tls_unknown_ca",
        fix="look",
    ),
    Case(
        hop="grafana",
        code="WRONG_ANSWER",
        broken=given(grafana.dashboard, answered(502, "bad_gateway")),
        unseen=given(grafana.dashboard, refused()),
        says="502",
        fix="look",
    ),
    Case(
        hop="grafana",
        code="F_NOT_PROVISIONED",
        broken=given(grafana.served_panels, frozenset({19})),
        unseen=given(files.dashboard_file, file(DASHBOARD_BEFORE)),
        says="without 20, 21",
        fix="docker restart aether-grafana",
    ),
    Case(
        hop="grafana",
        code="F_DRIFT",
        broken=given(grafana.lacking_fields, {21: ("targets[0].format", "targets[0].instant")}),
        unseen=given(grafana.lacking_fields, ODD),
        says="panel 21: targets[0].format, targets[0].instant",
        fix="inv setup: it repairs these fields",
    ),
    Case(
        hop="grafana",
        code="F_DRIFT",
        broken=given(grafana.lacking_fields, {20: ("targets[0].expr",)}),
        unseen=given(grafana.lacking_fields, answered(500)),
        says="panel 20: targets[0].expr",
        fix="inv setup --renumber: ours gets an id of its own",
    ),
    Case(
        hop="grafana",
        code="F_DRIFT",
        broken=given(grafana.lacking_fields, {20: ("datasource",)}),
        unseen=given(grafana.lacking_fields, answered(500)),
        says="panel 20: datasource",
        fix="RUNBOOK_GRAFANA_DATASOURCE_UID if that datasource is meant",
    ),
)
