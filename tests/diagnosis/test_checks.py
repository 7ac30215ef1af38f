"""Every check on recorded facts: it holds, it is broken and names its fault alone, it could not be looked at."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from recorded import (
    ALERTMANAGER,
    APEXFLOW,
    DASHBOARD_BEFORE,
    DATABASE,
    GATEWAY,
    GRAFANA,
    HEALTHY,
    KAFKA,
    KEYCLOAK,
    LEADS,
    NOW,
    PROMETHEUS,
    RULES_BEFORE,
    SINK,
    Change,
    Recorded,
    answered,
    config,
    given,
    probe,
    refused,
    rules,
    scrape,
    series,
    silence,
    silent,
    state,
    token,
    topics,
)

from runbook.diagnosis import files
from runbook.diagnosis.catalogue import CHECKS, GRAPH
from runbook.diagnosis.checks import alertmanager, gateway, grafana, kafka, panels, sink
from runbook.diagnosis.checks import rules as rules_hop
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.files import FileFact
from runbook.diagnosis.verdict import verdict
from runbook.errors import AnswerError, RunbookError
from runbook.invocation import inv
from runbook.model import CheckResult, Verdict
from runbook.runs.run_log import RunEvent
from runbook.settings import Target
from runbook.systems.grafana.client import DatasourceHealth, GrafanaHealth
from runbook.systems.http import Readiness
from runbook.systems.kafka.client import GroupFacts
from runbook.systems.keycloak.client import RealmAnswer
from runbook.systems.runtime import LogLine, Service, ServiceState


def walk(*changes: Change) -> tuple[dict[tuple[str, str], CheckResult], Verdict, tuple[Verdict, ...]]:
    facts = dict(HEALTHY)
    for change in changes:
        facts.update(change)
    examined = GRAPH.examine(Recorded(facts), deadline_s=30.0)
    judged, also = verdict(examined)
    return {(one.check.hop, one.check.code): one.result for one in examined}, judged, also


@dataclass(frozen=True, kw_only=True)
class Case:
    """One check: what breaks it, what keeps it from being looked at, and a word of the evidence and of the fix."""

    hop: str
    code: str
    broken: Change = field(default_factory=dict)
    unseen: Change = field(default_factory=dict)
    says: str = ""
    fix: str = ""


def exited(service: Service, code: int = 137) -> Change:
    return given(Facts.state, state(service.name, "exited", exit_code=code), service)


def file(content: bytes) -> FileFact:
    return FileFact(where="the file", content=content)


DUPLICATE = RunEvent(
    at=NOW, kind="problem", data={"code": "GW_DUPLICATE", "seen": "409 exists", "where": "POST /leads", "fix": ""}
)
NOT_READY = Readiness(ready=False, status=503, saw="Service Unavailable")
NO_STATE = refused("unix:///var/run/docker.sock")

NO_RUNTIME: Change = {key: NO_STATE for key in HEALTHY if key[0] is Facts.state}
SILENT = silent(
    Facts.realm,
    Facts.token,
    gateway.unauthenticated_answer,
    gateway.probe,
    kafka.cluster,
    Facts.page,
    Facts.prometheus_ready,
    Facts.alertmanager_ready,
    Facts.grafana_health,
)


def container_cases(hop: str, service: Service, silent: Change) -> tuple[Case, ...]:
    """Return the container faults of one service; `silent` is what a service that does not run answers."""
    name, unseen = service.name, given(Facts.state, NO_STATE, service) | silent
    missing = state(name, "", found=False, nearest=("crm-sink",))
    killed = state(name, "exited", exit_code=137, oom_killed=True)
    looping = state(name, "restarting", exit_code=1, restart_count=7)
    sick = state(name, health="unhealthy", probe_said="exit code 1: HTTP 503")
    unprobed = state(name, health="unhealthy", probe_said="exit code 127: curl: not found", probe_is_missing=True)

    def case(code: str, seen: ServiceState, says: str, fix: str) -> Case:
        return Case(
            hop=hop, code=code, broken=given(Facts.state, seen, service) | silent, unseen=unseen, says=says, fix=fix
        )

    return (
        case("CTR_MISSING", missing, "closest: crm-sink", f"docker compose up -d {name}"),
        case("CTR_OOM", killed, "out of memory", "memory limit"),
        case("CTR_PAUSED", state(name, "paused"), "paused", f"docker unpause {service.container}"),
        case("CTR_LOOP", looping, "restarting", f"docker logs --tail 100 {service.container}"),
        Case(
            hop=hop,
            code="CTR_UNHEALTHY",
            broken=given(Facts.state, sick, service),
            unseen=unseen,
            says="503",
            fix=f"docker logs --tail 100 {service.container}",
        ),
        Case(
            hop=hop,
            code="CTR_UNHEALTHY",
            broken=given(Facts.state, unprobed, service),
            unseen=unseen,
            says="curl: not found",
            fix="correct `healthcheck:`",
        ),
    )


SET_UP = given(Facts.last_setup, "20261123-1")
FAILED_RELOAD = given(rules_hop.reload_succeeded, answer=False)
ODD = RunbookError("neither an answer nor none", where="the client", fix="look")


def port_case(hop: str, service: Service, *unanswered: Fact[Facts, [], Any]) -> Case:
    """A service that runs and publishes nothing; `unanswered` are the facts that it would answer."""
    nothing = given(Facts.published, (), service) | silent(*unanswered)
    fix = f"add `ports:` to the service {service.name}, then docker compose up -d"
    return Case(
        hop=hop,
        code="PORT_UNPUBLISHED",
        broken=nothing,
        unseen={unanswered[0].key(): ODD},
        says="none published",
        fix=fix,
    )


LOOKUP = "dial tcp: lookup {} on 127.0.0.11:53: no such host"
SILENT_SOURCE = DatasourceHealth(ok=False, message=LOOKUP.format("aether-prom"))

CASES = (
    port_case("keycloak", KEYCLOAK, Facts.realm, Facts.token),
    port_case("kafka", KAFKA, kafka.cluster),
    replace(
        port_case("sink", SINK, Facts.page),
        unseen=(given(Facts.state, NO_STATE, SINK) | given(Facts.page, refused())),
    ),
    port_case("prometheus", PROMETHEUS, Facts.prometheus_ready),
    port_case("grafana", GRAFANA, Facts.grafana_health, grafana.dashboard),
    port_case("alertmanager", ALERTMANAGER, Facts.alertmanager_ready, alertmanager.silences),
    Case(
        hop="sink",
        code="WRONG_NETWORK",
        broken=(
            given(Facts.networks, frozenset(), SINK) | given(Facts.published, (), SINK) | given(Facts.page, refused())
        ),
        unseen=(
            given(Facts.networks, NO_STATE, SINK) | given(Facts.page, refused()) | given(Facts.state, NO_STATE, SINK)
        ),
        says="none",
        fix="docker network connect aether crm-events-sink",
    ),
    Case(
        hop="prometheus",
        code="WRONG_NETWORK",
        broken=(
            given(Facts.networks, frozenset({"monitoring"}), PROMETHEUS)
            | given(Facts.targets, (scrape("down", error=LOOKUP.format("aether-crm-events-sink")),))
        ),
        unseen=(
            given(Facts.networks, NO_STATE, PROMETHEUS)
            | given(Facts.targets, (scrape("down", error=LOOKUP.format("aether-crm-events-sink")),))
        ),
        says="monitoring",
        fix="docker network connect monitoring crm-events-sink",
    ),
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
        hop="sink",
        code="CTR_EXITED",
        broken=exited(SINK) | given(Facts.page, refused()) | given(Facts.targets, (scrape("down"),)),
        unseen=(given(Facts.state, NO_STATE, SINK) | given(Facts.page, refused())),
        says="exit code 137",
        fix="docker start aether-crm-events-sink",
    ),
    Case(
        hop="apexflow",
        code="CTR_EXITED",
        broken=exited(APEXFLOW, 1) | given(gateway.probe, probe(502)),
        unseen=(given(Facts.state, NO_STATE, APEXFLOW) | given(gateway.probe, probe(502))),
        says="exit code 1",
        fix="docker start aether-apexflow",
    ),
    *container_cases("sink", SINK, given(Facts.page, refused())),
    *container_cases("apexflow", APEXFLOW, given(gateway.probe, probe(502))),
    Case(
        hop="runtime",
        code="DOCKER_DOWN",
        broken=NO_RUNTIME | SILENT,
        unseen=SILENT | given(Facts.state, answered(500), SINK),
        says="none of them answers",
        fix="start it",
    ),
    Case(
        hop="keycloak",
        code="KC_DOWN",
        broken=(given(Facts.realm, refused()) | given(Facts.token, refused())),
        unseen=given(Facts.realm, answered(200)),
    ),
    Case(
        hop="keycloak",
        code="KC_REALM",
        broken=(
            given(Facts.realm, RealmAnswer(status=404, saw="404 Realm does not exist"))
            | given(Facts.token, answered(404, "no_realm"))
        ),
        unseen=given(Facts.realm, answered(200)),
        fix="RUNBOOK_KEYCLOAK_REALM",
    ),
    Case(
        hop="keycloak",
        code="KC_CLIENT",
        broken=given(Facts.token, answered(401, "invalid_client")),
        unseen=given(Facts.token, answered(500, "server_error")),
        fix="CLIENT_ID",
    ),
    Case(
        hop="keycloak",
        code="KC_GRANT_OFF",
        broken=given(Facts.token, answered(400, "unauthorized_client")),
        unseen=given(Facts.token, refused()),
        fix="direct access grants",
    ),
    Case(
        hop="keycloak",
        code="KC_SETUP",
        broken=given(Facts.token, answered(400, "not_setup")),
        unseen=given(Facts.token, refused()),
        fix="required actions of demo",
    ),
    Case(
        hop="keycloak",
        code="KC_USER",
        broken=given(Facts.token, answered(401, "invalid_grant")),
        unseen=given(Facts.token, refused()),
        fix="password of demo",
    ),
    Case(
        hop="token",
        code="TOKEN_TENANT",
        broken=given(Facts.token, token(None)),
        unseen=given(Facts.token, refused()),
        says="no tenant_id",
        fix="mapper",
    ),
    Case(
        hop="gateway",
        code="GW_DOWN",
        broken=(given(gateway.unauthenticated_answer, refused()) | given(gateway.probe, refused())),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        says="refused",
    ),
    Case(
        hop="gateway",
        code="GW_ROUTE",
        broken=(
            given(gateway.unauthenticated_answer, probe(404, proxy=True)) | given(gateway.probe, probe(404, proxy=True))
        ),
        unseen=given(gateway.unauthenticated_answer, answered(200, "too_large")),
        fix="RUNBOOK_GATEWAY_HOST",
    ),
    Case(
        hop="gateway", code="GW_AUTH", broken=given(gateway.probe, probe(403)), unseen=given(gateway.probe, refused())
    ),
    Case(
        hop="apexflow",
        code="GW_UPSTREAM",
        broken=given(gateway.probe, probe(503)),
        unseen=given(gateway.probe, refused()),
        fix="restart",
    ),
    Case(
        hop="database",
        code="DB_DOWN",
        broken=exited(DATABASE) | given(gateway.probe, probe(500)),
        unseen=given(gateway.probe, probe(500)),
    ),
    Case(
        hop="gateway",
        code="GW_DUPLICATE",
        broken=given(gateway.last_traffic, ("20261123-1", (DUPLICATE,))),
        unseen=given(gateway.last_traffic, answered(0)),
        says="409",
        fix="inv traffic",
    ),
    Case(hop="kafka", code="Q_DOWN", broken=given(kafka.cluster, refused()), unseen=given(kafka.cluster, answered(0))),
    Case(
        hop="sink",
        code="Q_ZOMBIE",
        broken=given(sink.group, GroupFacts(state="empty", members=())),
        unseen=(given(sink.group, None) | given(Facts.topics, topics(unread=3))),
        says="0 members",
        fix="docker restart aether-crm-events-sink",
    ),
    Case(
        hop="metrics",
        code="S_METRICS_DOWN",
        broken=(given(Facts.page, refused()) | given(Facts.targets, (scrape("down", error="connection refused"),))),
        unseen=(given(Facts.state, NO_STATE, SINK) | given(Facts.page, refused())),
        fix="PROM_PORT",
    ),
    Case(
        hop="prometheus",
        code="P_DOWN",
        broken=given(Facts.prometheus_ready, refused()),
        unseen=given(Facts.prometheus_ready, answered(200)),
    ),
    Case(
        hop="prometheus",
        code="P_NO_JOB",
        broken=(given(Facts.config, config(jobs=("prometheus",))) | given(Facts.targets, ())),
        unseen=given(Facts.config, refused()),
        says="scrape jobs: prometheus",
        fix="add the job crm-events-sink",
    ),
    Case(
        hop="prometheus",
        code="P_TARGET",
        broken=given(Facts.targets, (scrape("down", error="no such host"),)),
        unseen=given(Facts.targets, (scrape("unknown"),)),
        says="no such host",
    ),
    Case(
        hop="rules",
        code="R_INVALID",
        broken=(given(files.rules_file, file(b"groups:\n  - name: [unfinished\n")) | FAILED_RELOAD | SET_UP),
        unseen=FAILED_RELOAD,
        says="not YAML",
        fix="inv rollback",
    ),
    Case(
        hop="rules",
        code="R_NOT_LISTED",
        broken=(given(rules_hop.rules, ()) | given(Facts.config, config(rule_files=()))),
        unseen=(given(rules_hop.rules, ()) | given(files.rules_file, file(RULES_BEFORE))),
        says="rule_files: none",
        fix="/etc/prometheus/crm-events-rules.yml",
    ),
    Case(
        hop="rules",
        code="R_NOT_MOUNTED",
        broken=given(files.rules_inside, None),
        unseen=given(files.rules_inside, NO_STATE),
    ),
    Case(
        hop="rules",
        code="R_STALE_INODE",
        broken=given(files.rules_inside, RULES_BEFORE),
        unseen=given(files.rules_mounted, None),
        says="SHA-256",
    ),
    Case(
        hop="rules",
        code="R_EVAL",
        broken=given(rules_hop.rules, rules("err")),
        unseen=given(rules_hop.rules, rules("unknown")),
    ),
    Case(
        hop="grafana",
        code="F_DOWN",
        broken=(
            given(Facts.grafana_health, GrafanaHealth(ok=False, version="", status=503))
            | given(grafana.dashboard, refused())
        ),
        unseen=given(Facts.grafana_health, answered(200)),
    ),
    Case(
        hop="grafana",
        code="F_AUTH",
        broken=given(grafana.dashboard, answered(401, "unauthorized")),
        unseen=given(grafana.dashboard, answered(500)),
        fix="RUNBOOK_GRAFANA_PASSWORD_FILE",
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
        hop="alertmanager",
        code="M_DOWN",
        broken=(given(Facts.alertmanager_ready, NOT_READY) | given(alertmanager.silences, refused())),
        unseen=given(Facts.alertmanager_ready, answered(200)),
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
        hop="panels",
        code="V_BORN",
        broken=(given(panels.rates, {LEADS: 0.0}) | given(panels.series, series(3.0, 3.0, 3.0))),
        unseen=(given(panels.rates, {}) | given(panels.series, ())),
        says="3 samples: [3.0]",
        fix="the panels show the next events",
    ),
    Case(
        hop="panels",
        code="A_IDLE",
        unseen=(given(Facts.topics, topics(600.0, unread=4)) | given(panels.unread, 4) | given(panels.rates, {})),
    ),
)


def test_every_check_holds_on_a_healthy_installation() -> None:
    """Busy and healthy, with loud lines in two logs: no diagnosis, and no explanation is needed."""
    results, judged, also = walk()
    assert {"ok"} == {result.status for result in results.values()}
    assert (judged.outcome, judged.code, also) == ("healthy", "", ())


@pytest.mark.parametrize("case", [case for case in CASES if case.broken], ids=lambda case: f"{case.hop}.{case.code}")
def test_a_broken_check_names_its_fault_alone(case: Case) -> None:
    """The fault is the verdict, nothing else is diagnosed, and evidence and fix are filled in."""
    results, judged, also = walk(case.broken)
    assert results[case.hop, case.code].status == "broken"
    assert ("fault", case.code, ()) == (judged.outcome, judged.code, also)
    assert case.says in " ".join(evidence.saw for evidence in judged.evidence)
    assert case.fix in judged.fix
    assert judged.fix
    assert "{" not in judged.fix + judged.claim


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.hop}.{case.code}")
def test_a_check_that_cannot_look_is_not_checked(case: Case) -> None:
    """What could not be seen is neither ok nor broken, and the whole is not healthy."""
    results, judged, _ = walk(case.unseen)
    assert results[case.hop, case.code].status == "not_checked"
    assert results[case.hop, case.code].evidence
    assert judged.outcome == "inconclusive"


def test_every_check_has_a_case() -> None:
    """A new check cannot come without its three situations."""
    assert {(check.hop, check.code) for check in CHECKS} == {(case.hop, case.code) for case in CASES}


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param((given(Facts.topics, topics(None)) | given(panels.rates, {})), id="no event ever"),
        pytest.param(
            (given(Facts.topics, topics(600.0)) | given(panels.rates, {LEADS: 0.0})), id="the last one ten minutes ago"
        ),
    ],
)
def test_an_idle_pipeline_is_healthy_and_explained(quiet: Change) -> None:
    """Empty panels without traffic are no fault: healthy, with A_IDLE as the explanation."""
    _, judged, also = walk(quiet)
    assert (judged.outcome, judged.code, also) == ("healthy", "A_IDLE", ())


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(
            (
                given(panels.rates, {LEADS: 0.0})
                | given(panels.series, series(3.0, 3.0))
                | given(Facts.topics, topics(2.0))
            ),
            id="too young",
        ),
        pytest.param(
            (given(panels.rates, {}) | given(panels.series, series(3.0, 3.0)) | given(panels.unread, 2)),
            id="not read yet",
        ),
        pytest.param((given(panels.rates, {}) | given(panels.series, series(3.0, 4.0))), id="the series moved"),
        pytest.param((given(panels.rates, {}) | given(panels.series, series(0.0, 0.0))), id="never counted"),
    ],
)
def test_blind_panels_are_blamed_on_birth_only_with_proof(quiet: Change) -> None:
    """V_BORN needs settled events and samples that are all equal and above zero; else nobody knows."""
    _, judged, _ = walk(quiet)
    assert judged.outcome == "inconclusive"


def test_a_service_unknown_to_the_runtime_is_known_by_its_answer() -> None:
    """Without Docker on this host, a page that answers proves that the sink runs."""
    no_docker = given(Facts.state, NO_STATE, SINK) | given(Facts.state, NO_STATE, APEXFLOW)
    assert walk(no_docker)[1].outcome == "healthy"
    unknown = state("none", "", found=False)
    missing = given(Facts.state, unknown, SINK) | given(Facts.state, unknown, APEXFLOW)
    assert walk(missing)[1].outcome == "healthy"


def test_a_dead_gateway_behind_a_living_proxy_is_the_gateway() -> None:
    """Traefik drops the route of a container that has exited: its 404 is not a missing route then."""
    proxy_404 = given(gateway.unauthenticated_answer, probe(404, proxy=True)) | given(
        gateway.probe, probe(404, proxy=True)
    )
    assert walk(proxy_404, exited(GATEWAY))[1].code == "GW_DOWN"


@pytest.mark.parametrize(
    "names",
    [
        pytest.param({}, id="the names of the installation"),
        pytest.param({"database_service": "crm-postgres", "database_container": "crm-postgres-1"}, id="other names"),
    ],
)
def test_a_database_is_down_whatever_its_name_is(names: dict[str, str]) -> None:
    target = Target.from_tables("live", {"apexflow": names}, source="test")
    database = target.apexflow.database
    ended = given(gateway.probe, probe(500)) | exited(database)

    judged, _ = verdict(GRAPH.examine(Recorded(HEALTHY | ended, target), deadline_s=30.0))

    assert judged.code == "DB_DOWN"
    assert f"state of {database.name}" in {evidence.source for evidence in judged.evidence}


def test_a_sink_that_listens_is_known_in_three_ways() -> None:
    """A member of the group, nothing unread, or the start-up line: one of them is enough."""
    line = LogLine(text="CRM Events Sink started. Listening to topics: ['a']")
    behind: Change = given(sink.group, None) | given(Facts.topics, topics(unread=3))
    assert walk(given(sink.group, None))[0]["sink", "Q_ZOMBIE"].status == "ok"
    assert walk(behind, given(Facts.log, (line,), SINK))[0]["sink", "Q_ZOMBIE"].status == "ok"
    fresh = state("crm-events-sink", started_at=NOW + timedelta(seconds=1))
    empty: Change = given(sink.group, GroupFacts(state="empty", members=())) | given(Facts.state, fresh, SINK)
    assert walk(empty)[0]["sink", "Q_ZOMBIE"].status == "not_checked"


def test_a_failed_reload_is_the_rules_file_only_if_the_log_says_so() -> None:
    """A valid file and a failed reload: prometheus.yml may be the cause, so the file is not blamed without proof."""
    line = LogLine(text='level=error err="/etc/prometheus/crm-events-rules.yml: 12:11: could not parse expression"')
    assert walk(FAILED_RELOAD | given(Facts.log, (line,), PROMETHEUS))[1].code == "R_INVALID"
    assert walk(FAILED_RELOAD)[1].outcome == "inconclusive"


def test_a_broken_rules_file_is_told_with_a_dead_prometheus() -> None:
    """Who starts Prometheus again must know that it will not come up, and what to do before."""
    dead = exited(PROMETHEUS, 1) | silent(Facts.prometheus_ready) | given(files.rules_file, file(b"groups: ["))
    _, judged, _ = walk(dead, SET_UP)
    assert judged.code == "P_DOWN"
    assert "will not start with it" in " ".join(evidence.saw for evidence in judged.evidence)
    assert judged.fix.startswith(inv("rollback"))
    assert judged.fix.endswith("then docker start aether-prom")


@pytest.mark.parametrize(
    ("status", "command"),
    [
        pytest.param("running", "docker restart {container}", id="runs"),
        pytest.param("exited", "docker start {container}", id="has exited"),
        pytest.param("paused", "docker unpause {container}", id="is paused"),
        pytest.param("", "docker compose up -d {name}", id="is not there"),
    ],
)
@pytest.mark.parametrize(
    ("code", "service", "unanswered"),
    [
        ("KC_DOWN", KEYCLOAK, silent(Facts.realm, Facts.token)),
        ("GW_DOWN", GATEWAY, silent(gateway.unauthenticated_answer, gateway.probe)),
        ("Q_DOWN", KAFKA, silent(kafka.cluster)),
        ("P_DOWN", PROMETHEUS, silent(Facts.prometheus_ready)),
        ("F_DOWN", GRAFANA, silent(Facts.grafana_health, grafana.dashboard)),
        ("M_DOWN", ALERTMANAGER, silent(Facts.alertmanager_ready, alertmanager.silences)),
    ],
)
def test_what_is_to_be_typed_fits_the_state_of_the_service(
    code: str, service: Service, unanswered: Change, status: str, command: str
) -> None:
    """A service that does not answer may run, have exited, be paused or be missing: one command for all helps none."""
    seen = given(Facts.state, state(service.name, status, found=bool(status)), service)

    _, judged, _ = walk(unanswered, seen)

    assert (judged.code, judged.fix) == (code, command.format(name=service.name, container=service.container))


def test_without_an_engine_to_ask_the_fix_works_in_most_states() -> None:
    """`docker restart` starts what has exited, too."""
    _, judged, _ = walk(silent(Facts.realm, Facts.token), given(Facts.state, NO_STATE, KEYCLOAK))

    assert (judged.code, judged.fix) == ("KC_DOWN", "docker restart aether-keycloak")


def test_a_variable_in_a_fix_is_the_one_of_the_target() -> None:
    """Those of the local stack begin otherwise, and what is exported for production has no effect there."""
    target = Target.from_tables("local", {}, source="test")
    recorded = Recorded({**HEALTHY, **given(Facts.token, answered(401, "invalid_grant"))}, target)

    judged, _ = verdict(GRAPH.only("keycloak").examine(recorded, deadline_s=30.0))

    assert "RUNBOOK_LOCAL_KEYCLOAK_PASSWORD_FILE" in judged.fix


def test_a_rollback_is_named_only_where_a_setup_wrote_the_file() -> None:
    """Without one there is nothing to put back: the file is corrected by hand."""
    _, judged, _ = walk(FAILED_RELOAD, given(files.rules_file, file(b"groups: [")))

    assert judged.fix == f"correct the file, then {inv('setup')}"


def test_two_faults_the_first_along_the_flow_is_named() -> None:
    """The second one is independent of the first and told beside it."""
    _, judged, also = walk(
        (given(Facts.alertmanager_ready, refused()) | given(alertmanager.silences, refused())),
        given(Facts.realm, refused()),
    )
    assert (judged.code, [fault.code for fault in also]) == ("KC_DOWN", ["M_DOWN"])


def test_old_test_data_never_hides_an_outage() -> None:
    """GW_DUPLICATE is told last: a broker that is down comes first."""
    _, judged, also = walk(given(gateway.last_traffic, ("1", (DUPLICATE,))) | given(kafka.cluster, refused()))
    assert (judged.code, [fault.code for fault in also]) == ("Q_DOWN", ["GW_DUPLICATE"])
