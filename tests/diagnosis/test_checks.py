"""Every check on recorded facts: it holds, it is broken and names its fault alone, it could not be looked at."""

from datetime import timedelta
from importlib import import_module

import pytest

from runbook.diagnosis import files
from runbook.diagnosis.catalogue import CHECKS, GRAPH
from runbook.diagnosis.checks import alertmanager, gateway, grafana, kafka, panels, sink
from runbook.diagnosis.checks import rules as rules_hop
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.topics import TopicFacts
from runbook.diagnosis.verdict import verdict
from runbook.flow import HOPS
from runbook.invocation import inv
from runbook.settings import Target
from runbook.systems.grafana.client import Datasource, DatasourceHealth
from runbook.systems.kafka.records import ClusterFacts, GroupFacts
from runbook.systems.runtime import LogLine, Service
from tests.diagnosis.cases import DUPLICATE, FAILED_RELOAD, NO_STATE, SET_UP, Case, exited, file, walk
from tests.diagnosis.recorded import (
    ALERTMANAGER,
    APEXFLOW,
    GATEWAY,
    GRAFANA,
    HEALTHY,
    JOBS,
    KAFKA,
    KEYCLOAK,
    LEADS,
    NOW,
    PROMETHEUS,
    SINK,
    Change,
    Recorded,
    answered,
    given,
    loud,
    probe,
    refused,
    series,
    silent,
    state,
    topics,
)

HOP_CASES = [import_module(f"tests.diagnosis.hop_cases.{hop}") for hop in HOPS]
CASES: tuple[Case, ...] = tuple(case for hop in HOP_CASES for case in hop.CASES)


def test_every_check_holds_on_a_healthy_installation() -> None:
    """Busy and healthy, with loud lines in two logs: no diagnosis, and no explanation is needed."""
    results, judged, also = walk()
    assert {"ok"} == {result.status for result in results.values()}
    assert (judged.outcome, judged.code, also) == ("healthy", "", ())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"rows": [{}]}', "the format before Grafana 5"),
        (b'{"apiVersion": "dashboard.grafana.app/v1", "spec": {}}', "the dashboard is in its `spec`"),
        (b'{"dashboard": {"panels": []}, "meta": {}}', "an answer of Grafana's API"),
        (b"[", "not JSON"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_file_that_grafana_does_not_load_is_not_checked_in_its_own_words(content: bytes, said: str) -> None:
    """With what makes a classic dashboard of it; it is no proof of what is served."""
    result = walk(given(files.dashboard_file, file(content)))[0]["grafana", "F_NOT_PROVISIONED"]
    assert result.status == "not_checked"
    assert said in " ".join(f"{one.saw} {one.source}" for one in result.evidence)


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


@pytest.mark.parametrize(
    "young",
    [
        pytest.param(given(panels.series, series(3.0, 3.0)) | given(Facts.topics, topics(2.0)), id="the event"),
        pytest.param(given(panels.series, series(0.0)), id="the series"),
    ],
)
def test_what_the_panels_cannot_show_yet_is_not_exercised(young: Change) -> None:
    """An event, or a series, that has had too few scrapes accuses nobody, and is not called seen either."""
    _, judged, _ = walk(given(panels.rates, {LEADS: 0.0}) | young)
    assert (judged.outcome, judged.not_exercised) == ("healthy", ("V_BORN",))


def test_a_topic_that_nobody_has_used_is_not_exercised() -> None:
    """On a new installation the first event creates the topics; one of nearly the same name is a reason to look."""
    nothing = TopicFacts(newest={LEADS: None, JOBS: None}, end_offsets={}, unread=0)
    new = given(Facts.topics, nothing) | given(panels.rates, {})
    others = {"orders": (0,), "apexflow.leads.updated": (0,)}
    _, judged, _ = walk(new | given(kafka.cluster, ClusterFacts(brokers=("b:1",), topics=others)))
    assert (judged.outcome, judged.not_exercised) == ("healthy", ("A_IDLE",))
    _, judged, _ = walk(
        new | given(kafka.cluster, ClusterFacts(brokers=("b:1",), topics={"apexflow.lead.created": (0,)}))
    )
    assert judged.outcome == "inconclusive"
    assert "apexflow.lead.created" in judged.claim + judged.evidence[0].saw


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
    results, judged, also = walk(proxy_404, exited(GATEWAY))
    assert (judged.code, also) == ("CTR_EXITED", ())
    assert results["gateway", "CTR_EXITED"].status == "broken"


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

    judged, also = verdict(GRAPH.examine(Recorded(HEALTHY | ended | loud(database), target), deadline_s=30.0))

    assert (judged.code, also) == ("CTR_EXITED", ())
    assert f"state of {database.name}" in {evidence.source for evidence in judged.evidence}


def test_a_sink_that_listens_is_known_in_four_ways() -> None:
    """A member of the group, nothing unread, the line of this start, or that it reads on: one of them is enough."""
    line = LogLine(text="CRM Events Sink started. Listening to topics: ['a']")
    reads = given(sink.read_meanwhile, (7.0, 9.0))
    behind: Change = given(sink.group, None) | given(Facts.topics, topics(unread=3))
    assert walk(given(sink.group, None))[0]["sink", "Q_ZOMBIE"].status == "ok"
    assert walk(behind, given(Facts.log, (line,), SINK))[0]["sink", "Q_ZOMBIE"].status == "ok"
    assert walk(behind, reads)[0]["sink", "Q_ZOMBIE"].status == "ok"
    fresh = state("crm-events-sink", started_at=NOW + timedelta(seconds=1))
    empty: Change = given(sink.group, GroupFacts(state="empty", members=())) | given(Facts.state, fresh, SINK)
    assert walk(empty)[0]["sink", "Q_ZOMBIE"].status == "not_checked"


def test_a_failed_reload_is_the_rules_file_only_if_the_log_says_so() -> None:
    """A valid file and a failed reload: prometheus.yml may be the cause, so the file is not blamed without proof."""
    line = LogLine(text='level=error err="/etc/prometheus/crm-events-rules.yml: 12:11: could not parse expression"')
    blamed = walk(FAILED_RELOAD | given(Facts.log, (line,), PROMETHEUS))[1]
    assert (blamed.code, blamed.fix.partition(": ")[0]) == ("R_INVALID", "curl -X POST http://localhost:9090/-/reload")
    assert walk(FAILED_RELOAD)[1].outcome == "inconclusive"


def test_a_broken_rules_file_is_told_with_a_dead_prometheus() -> None:
    """Who starts Prometheus again must know that it will not come up, and what to do before."""
    dead = exited(PROMETHEUS, 1) | silent(Facts.prometheus_ready) | given(files.rules_file, file(b"groups: ["))
    _, judged, _ = walk(dead, SET_UP)
    assert judged.code == "CTR_EXITED"
    assert "will not start with it" in " ".join(evidence.saw for evidence in judged.evidence)
    assert judged.fix.startswith(inv("rollback"))
    assert judged.fix.endswith("then docker start aether-prom")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        pytest.param("running", ("", "docker restart {container}"), id="runs"),
        pytest.param("exited", ("CTR_EXITED", "docker start {container}"), id="has exited"),
        pytest.param("created", ("CTR_EXITED", "docker start {container}"), id="was never started"),
        pytest.param(
            "dead", ("CTR_EXITED", "docker rm --force {container}, then docker compose up -d {name}"), id="is dead"
        ),
        pytest.param("paused", ("CTR_PAUSED", "docker unpause {container}"), id="is paused"),
        pytest.param("", ("CTR_MISSING", "docker compose up -d {name}"), id="is not there"),
    ],
)
@pytest.mark.parametrize(
    ("down", "service", "unanswered"),
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
    down: str, service: Service, unanswered: Change, status: str, told: tuple[str, str]
) -> None:
    """A service that does not answer may run, have exited, be paused or be missing: one command for all helps none."""
    seen = given(Facts.state, state(service.name, status, found=bool(status)), service)

    _, judged, also = walk(unanswered, seen)

    code, command = told
    fix = command.format(name=service.name, container=service.container)
    assert (judged.code, judged.fix, also) == (code or down, fix, ())


def test_a_datasource_whose_address_may_not_be_seen_blames_nobody() -> None:
    """Grafana does not reach Prometheus, and whether by the network or by the address cannot be told."""
    hidden = Datasource(uid="PBFA", name="Prometheus", type="", url="", is_default=False)
    silent_one = DatasourceHealth(ok=False, message="no such host")

    results, judged, also = walk(given(grafana.datasource, hidden), given(grafana.datasource_health, silent_one))

    statuses = {code: results["grafana", code].status for code in ("F_DS_MISSING", "WRONG_NETWORK", "F_DS_URL")}
    assert statuses == {"F_DS_MISSING": "ok", "WRONG_NETWORK": "not_checked", "F_DS_URL": "not_checked"}
    assert (judged.outcome, also) == ("inconclusive", ())
    assert "no such host; admin may not see the address" in str(judged.evidence)
    assert judged.fix == "give admin the permission datasources:read in Grafana"


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


def test_no_rollback_is_named_that_would_be_refused() -> None:
    """Somebody has edited the file since the setup: they correct it, or give their change up by --force."""
    edited = given(files.rules_file, file(b"groups: [")) | given(rules_hop.edited_since, answer=True)

    _, judged, _ = walk(FAILED_RELOAD, SET_UP, edited)

    by_hand, _, given_up = judged.fix.partition("; or, to give up what was changed since run 20261123-1: ")
    assert by_hand == "correct the file, then curl -X POST http://localhost:9090/-/reload"
    assert given_up == f"{inv('rollback --run 20261123-1 --force')}, then {inv('setup')}"

    dead = exited(PROMETHEUS, 1) | silent(Facts.prometheus_ready)
    assert walk(dead, SET_UP, edited)[1].fix == "correct the file, then docker start aether-prom"


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
