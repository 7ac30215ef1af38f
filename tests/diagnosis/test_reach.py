"""When an unpublished port or a missing network is the cause, and when saying so would be an invention."""

import pytest

from runbook.diagnosis.catalogue import GRAPH
from runbook.diagnosis.checks import sink
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.verdict import verdict
from runbook.errors import AnswerError, ProtocolError
from runbook.model import CheckStatus, Verdict
from runbook.settings import Target
from runbook.systems.kafka.records import GroupFacts
from runbook.systems.runtime import PublishedPort
from tests.diagnosis.recorded import (
    EVERY,
    HEALTHY,
    KEYCLOAK,
    PROMETHEUS,
    SINK,
    Change,
    Recorded,
    given,
    port,
    refused,
    scrape,
    silent,
    state,
)

KEYCLOAK_SILENT: Change = silent(Facts.realm, Facts.token)
LOOKUP = 'Get "http://{0}:9105/metrics": dial tcp: lookup {0} on 127.0.0.11:53: no such host'
NO_ENGINE = refused("unix:///var/run/docker.sock")
NO_CONTAINER = AnswerError("no container", where="engine", fix="docker ps -a", status=404, code="no_container")


def walk(*changes: Change, url: str = "") -> tuple[dict[str, CheckStatus], Verdict, list[str]]:
    """Return status by hop and code, the verdict, and the codes named beside it."""
    answers = dict(HEALTHY)
    for change in changes:
        answers.update(change)
    tables = {"keycloak": {"url": url}} if url else {}
    facts = Recorded(answers, Target.from_tables("live", tables, source="test"))
    examined = GRAPH.examine(facts, deadline_s=30.0)
    judged, also = verdict(examined)
    statuses = {f"{one.check.hop}.{one.check.code}": one.result.status for one in examined}
    return statuses, judged, [one.code for one in also]


def test_without_an_engine_to_ask_a_silent_service_is_still_named() -> None:
    """Nobody can say what is published: that keeps nobody from saying who does not answer."""
    statuses, judged, _ = walk(KEYCLOAK_SILENT, given(Facts.state, NO_ENGINE, KEYCLOAK))

    assert (statuses["keycloak.PORT_UNPUBLISHED"], judged.code) == ("not_checked", "KC_DOWN")


def test_a_server_that_is_not_understood_is_never_called_down() -> None:
    """An expired certificate is an answer: nothing has to be started, and the fix is that of the failure itself."""
    expired = ProtocolError("shows a certificate that has expired", where="GET u", fix="renew it", reason="tls_expired")

    statuses, judged, also = walk(given(Facts.realm, expired), given(Facts.token, expired))

    assert (statuses["keycloak.PORT_UNPUBLISHED"], statuses["keycloak.KC_DOWN"]) == ("ok", "ok")
    assert statuses["runtime.DOCKER_DOWN"] == "ok"
    assert (judged.code, judged.fix, also) == ("KC_TLS", "renew it", [])


def test_a_proxy_that_fails_says_nothing_of_the_port() -> None:
    failed = ProtocolError("the proxy failed", where="GET u", fix="correct https_proxy", reason="proxy")

    statuses, judged, _ = walk(given(Facts.realm, failed), given(Facts.token, failed))

    assert (statuses["keycloak.PORT_UNPUBLISHED"], judged.outcome) == ("not_checked", "inconclusive")


def test_a_service_that_has_ended_is_down_and_not_unpublished() -> None:
    ended: Change = given(Facts.state, state("keycloak", "exited", exit_code=1), KEYCLOAK) | given(
        Facts.published, (), KEYCLOAK
    )

    statuses, judged, _ = walk(KEYCLOAK_SILENT, ended)

    assert (statuses["keycloak.PORT_UNPUBLISHED"], judged.code) == ("blocked", "CTR_EXITED")


@pytest.mark.parametrize(
    "address", [pytest.param(EVERY, id="every"), pytest.param("::", id="every of IPv6"), "127.0.0.1", "::1"]
)
def test_a_published_port_that_is_silent_is_a_service_that_is_down(address: str) -> None:
    statuses, judged, also = walk(KEYCLOAK_SILENT, given(Facts.published, (port(8180, address=address),), KEYCLOAK))

    assert (statuses["keycloak.PORT_UNPUBLISHED"], judged.code, also) == ("ok", "KC_DOWN", [])


@pytest.mark.parametrize(
    ("ports", "fix"),
    [
        pytest.param((port(18180, inside=8080),), "localhost:18180: correct its address", id="another port"),
        pytest.param((port(8180, address="10.0.0.5"),), "10.0.0.5:8180: correct its address", id="another address"),
        pytest.param(
            (PublishedPort(port=8180, protocol="udp", address=EVERY, host_port=8180),),
            "add `ports:`",
            id="UDP alone",
        ),
    ],
)
def test_a_port_that_leads_past_the_address_says_where_it_is(ports: tuple[PublishedPort, ...], fix: str) -> None:
    _, judged, also = walk(KEYCLOAK_SILENT, given(Facts.published, ports, KEYCLOAK))

    assert (judged.code, also) == ("PORT_UNPUBLISHED", [])
    assert judged.claim == "keycloak runs, and has no port 8180 on localhost"
    assert fix in judged.fix


def test_who_is_on_no_network_has_no_ports_whatever_was_configured() -> None:
    """`ports:` may well be there: the engine maps them when the container is on a network again."""
    _, judged, _ = walk(
        KEYCLOAK_SILENT, (given(Facts.published, (), KEYCLOAK) | given(Facts.networks, frozenset(), KEYCLOAK))
    )

    assert (judged.code, judged.fix) == ("PORT_UNPUBLISHED", "docker compose up -d --force-recreate keycloak")


def test_on_the_hosts_network_nothing_has_to_be_published() -> None:
    """So it is with every process of the local stack, too."""
    hosts: Change = given(Facts.published, (), KEYCLOAK) | given(Facts.networks, frozenset({"host"}), KEYCLOAK)

    statuses, judged, _ = walk(KEYCLOAK_SILENT, hosts)

    assert (statuses["keycloak.PORT_UNPUBLISHED"], judged.code) == ("ok", "KC_DOWN")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://login.example", id="another host"),
        pytest.param("http://localhost", id="the port of an edge proxy"),
    ],
)
def test_an_address_that_something_else_may_serve_is_no_proof(url: str) -> None:
    """Behind a proxy nothing is published, and nothing has to be."""
    statuses, judged, _ = walk(KEYCLOAK_SILENT, given(Facts.published, (), KEYCLOAK), url=url)

    assert (statuses["keycloak.PORT_UNPUBLISHED"], judged.code) == ("not_checked", "KC_DOWN")


@pytest.mark.parametrize(
    ("bound", "url", "code", "fix"),
    [
        pytest.param(EVERY, "http://db1:8180", "KC_DOWN", "", id="published at its host"),
        pytest.param(EVERY, "http://localhost:8180", "PORT_UNPUBLISHED", "at db1:8180", id="asked for here"),
        pytest.param("127.0.0.1", "http://db1:8180", "PORT_UNPUBLISHED", "ssh -NL 8180:127.0.0.1:8180 db1", id="inner"),
        pytest.param("10.0.0.5", "http://db1:8180", "KC_DOWN", "", id="one address, which may be its host's"),
    ],
)
def test_an_engine_elsewhere_publishes_at_its_own_host(bound: str, url: str, code: str, fix: str) -> None:
    """0.0.0.0 over there is reached by that host's name, 127.0.0.1 over there is not reached from here."""
    _, judged, _ = walk(
        KEYCLOAK_SILENT,
        (given(Facts.host, "db1") | given(Facts.published, (port(8180, address=bound),), KEYCLOAK)),
        url=url,
    )

    assert judged.code == code
    assert fix in judged.fix


APART: Change = given(Facts.networks, frozenset({"monitoring"}), PROMETHEUS)


def scraped(error: str, url: str = "http://aether-crm-events-sink:9105/metrics") -> Change:
    return given(Facts.targets, (scrape("down", error=error, url=url),))


@pytest.mark.parametrize(
    "error", [LOOKUP.format("aether-crm-events-sink"), "lookup x: server misbehaving", "context deadline exceeded"]
)
def test_a_name_that_leads_nowhere_between_two_networks_is_the_network(error: str) -> None:
    _, judged, also = walk(scraped(error), APART)

    assert (judged.code, also) == ("WRONG_NETWORK", [])
    assert judged.fix == "docker network connect monitoring crm-events-sink"
    assert "networks of crm-events-sink" in {evidence.source for evidence in judged.evidence}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(scraped(LOOKUP.format("crm-sinc")), id="a shared network"),
        pytest.param(scraped("connect: connection refused") | APART, id="it arrived"),
        pytest.param(scraped("server returned HTTP status 404") | APART, id="it was answered"),
        pytest.param(scraped("i/o timeout", "http://host.docker.internal:9105/metrics") | APART, id="over the host"),
        pytest.param(scraped("i/o timeout", "http://10.0.0.5:9105/metrics") | APART, id="by number"),
        pytest.param(scraped("deadline exceeded", "http://monitor1:9105/metrics") | APART, id="another machine"),
        pytest.param(
            scraped(LOOKUP.format("aether-crm-events-sink")) | given(Facts.networks, frozenset({"host"}), PROMETHEUS),
            id="from the host's network",
        ),
    ],
)
def test_other_failures_of_a_scrape_are_no_matter_of_networks(change: Change) -> None:
    """An invented cause is the worst answer: `docker network connect` would mend none of these."""
    _, judged, also = walk(change)

    assert (judged.code, also) == ("P_TARGET", [])


def test_a_sink_that_lost_its_network_is_named_once() -> None:
    """No page, no scrape, no member in the group: one cause. What Prometheus sees of it is blocked."""
    lost: Change = (
        given(Facts.networks, frozenset({"none"}), SINK)
        | given(Facts.published, (), SINK)
        | given(Facts.page, refused())
        | given(sink.group, GroupFacts(state="empty", members=()))
    )

    statuses, judged, also = walk(lost)

    assert (judged.code, also) == ("WRONG_NETWORK", [])
    assert judged.claim == "crm-events-sink shares no network with prometheus"
    assert {statuses[name] for name in ("sink.PORT_UNPUBLISHED", "metrics.S_METRICS_DOWN")} == {"blocked"}
    assert statuses["prometheus.P_TARGET"] == "blocked"


def test_a_sink_on_another_network_is_no_zombie() -> None:
    """It has left its group because it does not reach the broker: a restart would not mend that."""
    moved: Change = given(Facts.networks, frozenset({"other"}), SINK) | given(
        sink.group, GroupFacts(state="empty", members=())
    )

    statuses, judged, _ = walk(moved)
    assert (statuses["sink.Q_ZOMBIE"], judged.outcome) == ("not_checked", "inconclusive")
    assert judged.fix == "docker network connect aether crm-events-sink"

    _, judged, also = walk(moved, scraped(LOOKUP.format("aether-crm-events-sink")))
    assert (judged.code, also) == ("WRONG_NETWORK", [])


@pytest.mark.parametrize(
    ("of_prometheus", "fix"),
    [
        pytest.param(NO_CONTAINER, "docker network connect NET crm-events-sink", id="no such peer"),
        pytest.param(frozenset({"bridge"}), "docker network connect NET crm-events-sink", id="no names there"),
        pytest.param(frozenset({"b", "a"}), "docker network connect a crm-events-sink", id="two"),
    ],
)
def test_the_fix_names_a_network_in_which_names_resolve(of_prometheus: frozenset[str] | AnswerError, fix: str) -> None:
    lost: Change = given(Facts.networks, frozenset(), SINK) | given(Facts.page, refused())

    assert walk(lost, given(Facts.networks, of_prometheus, PROMETHEUS))[1].fix == fix


def test_a_peer_without_a_network_of_its_own_is_brought_to_the_service() -> None:
    alone: Change = given(Facts.networks, frozenset({"bridge"}), PROMETHEUS)

    _, judged, _ = walk(scraped(LOOKUP.format("aether-crm-events-sink")), alone)

    assert judged.fix == "docker network connect aether prometheus"
