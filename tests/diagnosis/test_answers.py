"""Any status is an answer: silence, slowness and each wrong answer are told apart, and healthy ones are left alone."""

import pytest

from runbook.diagnosis.catalogue import CHECKS, graph_of
from runbook.diagnosis.checks import alertmanager, gateway, grafana
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.verdict import verdict
from runbook.errors import UnreachableError
from runbook.systems.grafana.client import GrafanaHealth
from runbook.systems.http_answer import Readiness
from runbook.systems.keycloak.client import RealmAnswer
from tests.diagnosis.cases import NO_RUNTIME, NO_STATE, exited, walk
from tests.diagnosis.recorded import (
    APEXFLOW,
    GATEWAY,
    GRAFANA,
    HEALTHY,
    KEYCLOAK,
    PROMETHEUS,
    PROXY,
    Change,
    Recorded,
    answered,
    given,
    probe,
    refused,
    unspoken,
)

UNKNOWN = UnreachableError("its name crm does not resolve", where="GET http://crm/", fix="look", reason="dns")
BOTH_502: Change = given(gateway.unauthenticated_answer, probe(502, "Bad Gateway", proxy=True)) | given(
    gateway.probe, probe(502, "Bad Gateway", proxy=True)
)


@pytest.mark.parametrize(
    ("code", "unresolved", "setting"),
    [
        (
            "KC_DOWN",
            given(Facts.realm, UNKNOWN) | given(Facts.token, UNKNOWN),
            "KEYCLOAK_URL",
        ),
        (
            "GW_DOWN",
            given(gateway.unauthenticated_answer, UNKNOWN) | given(gateway.probe, UNKNOWN),
            "GATEWAY_URL",
        ),
        ("P_DOWN", given(Facts.prometheus_ready, UNKNOWN), "PROMETHEUS_URL"),
        ("F_DOWN", given(Facts.grafana_health, UNKNOWN) | given(grafana.dashboard, UNKNOWN), "GRAFANA_URL"),
        (
            "M_DOWN",
            given(Facts.alertmanager_ready, UNKNOWN) | given(alertmanager.silences, UNKNOWN),
            "ALERTMANAGER_URL",
        ),
        ("S_METRICS_DOWN", given(Facts.page, UNKNOWN), "SINK_METRICS_URL"),
    ],
)
def test_a_name_that_does_not_resolve_is_not_mended_by_a_start(code: str, unresolved: Change, setting: str) -> None:
    _, judged, also = walk(unresolved)

    assert (judged.code, also) == (code, ())
    assert judged.fix == f"correct the host name in RUNBOOK_{setting}, or let this host resolve it"


def test_a_slow_answer_is_said_and_is_no_fault() -> None:
    """Who answers within the time of one reading works: the seconds stand in the evidence."""
    slow = (
        given(Facts.realm, RealmAnswer(status=200, saw="200 the realm", took_s=2.4))
        | given(Facts.prometheus_ready, Readiness(ready=True, status=200, saw="ready", took_s=1.6))
        | given(Facts.alertmanager_ready, Readiness(ready=True, status=200, saw="OK", took_s=1.4))
        | given(Facts.grafana_health, GrafanaHealth(ok=True, version="11.2.0", status=200, took_s=2.9))
    )

    results, judged, also = walk(slow)

    assert (judged.outcome, also) == ("healthy", ())
    said = {code: results[hop, code].evidence[0].saw for hop, code in SLOW}
    assert said["KC_DOWN"].endswith("after 2.4 s of the 3 s that an answer may take")
    assert said["P_DOWN"].endswith("after 1.6 s of the 3 s that an answer may take")
    assert said["F_DOWN"].endswith("after 2.9 s of the 3 s that an answer may take")
    assert said["M_DOWN"] == "200 OK"


SLOW = (("keycloak", "KC_DOWN"), ("prometheus", "P_DOWN"), ("grafana", "F_DOWN"), ("alertmanager", "M_DOWN"))


@pytest.mark.parametrize("status", [401, 403, 404, 429, 502])
def test_a_proxy_that_passes_on_the_api_alone_is_healthy(status: int) -> None:
    """Its refusal of the readiness page says nothing of Prometheus or Alertmanager: their API answers."""
    unready = answered(status, "of the proxy")

    _, judged, also = walk(given(Facts.prometheus_ready, unready) | given(Facts.alertmanager_ready, unready))

    assert (judged.outcome, also) == ("healthy", ())


def test_502_of_a_gateway_that_refuses_by_itself_is_about_apexflow() -> None:
    """Without a token it answers 401: it runs, and the edge proxy reaches it."""
    _, judged, _ = walk(given(gateway.probe, probe(502, "Bad Gateway", proxy=True)))

    assert (judged.code, judged.claim) == ("GW_UPSTREAM", "The gateway gets no answer from ApexFlow")


def test_502_of_a_gateway_in_its_own_json_is_about_apexflow() -> None:
    answer = probe(502, "upstream unreachable")

    _, judged, _ = walk(given(gateway.unauthenticated_answer, answer) | given(gateway.probe, answer))

    assert (judged.code, judged.claim) == ("GW_UPSTREAM", "The gateway gets no answer from ApexFlow")


def test_502_of_the_edge_proxy_while_apexflow_has_exited_is_apexflow() -> None:
    """A gateway that forwards requests without a token, too: the one that is known to have ended is named."""
    _, judged, also = walk(BOTH_502, exited(APEXFLOW, 1))

    assert (judged.code, also) == ("CTR_EXITED", ())
    assert judged.fix.startswith("docker start aether-apexflow")


def test_502_of_the_edge_proxy_before_a_gateway_that_has_exited_is_the_gateway() -> None:
    _, judged, also = walk(BOTH_502, exited(GATEWAY, 1))

    assert (judged.code, also) == ("CTR_EXITED", ())
    assert judged.fix.startswith("docker start aether-gateway")


def test_502_of_the_edge_proxy_that_shares_no_network_with_the_gateway_is_not_mended_by_a_start() -> None:
    _, judged, also = walk(BOTH_502, given(Facts.networks, frozenset({"other"}), PROXY))

    assert (judged.code, also) == ("GW_DOWN", ())
    assert judged.fix == "docker network connect other gateway"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_does_not_stand_in_place_of_what_has_exited(status: int) -> None:
    """Its answer says that nobody is behind it: the container is the cause, and the only name of it."""
    _, judged, also = walk(exited(PROMETHEUS, 1), given(Facts.prometheus_ready, answered(status)))
    assert (judged.code, judged.fix.partition(";")[0], also) == ("CTR_EXITED", "docker start aether-prom", ())

    page = RealmAnswer(status=status, saw=f"{status} of the proxy")
    _, judged, also = walk(exited(KEYCLOAK, 1), given(Facts.realm, page) | given(Facts.token, answered(status)))
    assert (judged.code, judged.fix.partition(";")[0], also) == ("CTR_EXITED", "docker start aether-keycloak", ())


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_any_other_status_stands_in_place_of_what_has_exited(status: int) -> None:
    _, judged, _ = walk(exited(GRAFANA, 1), given(Facts.grafana_health, answered(status)))

    assert judged.code == "WRONG_ANSWER"


def test_an_error_of_tls_is_an_answer_of_the_edge_proxy() -> None:
    """Somebody is there: a start of the container of that name changes nothing about a certificate."""
    expired = unspoken("tls_expired")
    changes = given(gateway.unauthenticated_answer, expired) | given(gateway.probe, expired)

    _, judged, also = walk(exited(PROXY, 1), changes)

    assert (judged.code, judged.claim, also) == ("WRONG_ANSWER", "met tls_expired", ())


def test_502_that_nobody_can_place_blames_neither_alone() -> None:
    """Without the state of either container nobody is called down."""
    results, judged, also = walk(
        BOTH_502, given(Facts.state, NO_STATE, APEXFLOW), given(Facts.state, NO_STATE, GATEWAY)
    )

    assert results["gateway", "GW_DOWN"].status == "ok"
    assert (judged.outcome, also) == ("inconclusive", ())


def test_502_where_no_runtime_can_tell_names_both() -> None:
    examined = graph_of(None, has_runtime=False).examine(Recorded(HEALTHY | BOTH_502 | NO_RUNTIME), deadline_s=30.0)
    judged, also = verdict(examined)

    assert (judged.code, also) == ("GW_UPSTREAM", ())
    assert judged.claim == "The edge proxy gets no answer from the gateway, or the gateway gets none from ApexFlow"
    assert judged.fix.startswith("docker restart aether-gateway, then docker restart aether-apexflow")


def test_a_login_that_hangs_is_not_called_a_wrong_password() -> None:
    hung = UnreachableError("did not answer within 3 s", where="POST token", fix="look", reason="timeout")

    results, judged, _ = walk(given(Facts.token, hung))

    assert (judged.code, results["keycloak", "KC_USER"].status) == ("KC_SLOW", "blocked")


def test_what_is_silent_is_not_asked_what_it_says() -> None:
    """The checks of the answers are blocked by the silence, never ok."""
    results, _, _ = walk(given(Facts.realm, refused()) | given(Facts.token, refused()))

    codes = {one.code for one in CHECKS if one.hop == "keycloak"}
    said = {code for code in codes if code.startswith(("KC_", "WRONG_ANSWER"))} - {"KC_DOWN"}
    assert {results["keycloak", code].status for code in said} == {"blocked"}
