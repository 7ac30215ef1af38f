"""Facts as they were recorded on a healthy installation, to be changed one at a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from runbook.conservation.boundary import Boundary, Flow
from runbook.diagnosis import boundaries, files
from runbook.diagnosis.checks import alertmanager, gateway, grafana, kafka, panels, prometheus, sink
from runbook.diagnosis.checks import rules as rules_hop
from runbook.diagnosis.fact_cache import Fact, Key
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.files import FileFact
from runbook.diagnosis.topics import TopicFacts
from runbook.errors import AnswerError, ProtocolError, RunbookError, UnreachableError
from runbook.settings import Target
from runbook.systems.alertmanager.client import Matcher, Silence
from runbook.systems.gateway.client import ProbeAnswer
from runbook.systems.gateway.meanings import GATEWAY_MEANINGS
from runbook.systems.grafana.client import Datasource, DatasourceHealth, GrafanaHealth, ServedDashboard
from runbook.systems.http_answer import Readiness
from runbook.systems.http_meaning import meaning
from runbook.systems.kafka.records import ClusterFacts, GroupFacts
from runbook.systems.keycloak.client import RealmAnswer, Token
from runbook.systems.prometheus.records import LoadedConfig, Rule, RuleGroup, ScrapeTarget, Series
from runbook.systems.runtime import LogLine, PublishedPort, Runtime, Service, ServiceState
from runbook.systems.sink.client import SinkPage

P = ParamSpec("P")
T = TypeVar("T")

NOW = datetime(2025, 11, 3, 20, 15, tzinfo=UTC)  # long ago: nothing may take another clock
LEADS, JOBS = "apexflow.leads.created", "apexflow.jobs.created"
EVERY = "0.0.0.0"  # noqa: S104 - recorded, not bound
SCRAPED = "http://aether-crm-events-sink:9105/metrics"
RULES_INSIDE = "/etc/prometheus/crm-events-rules.yml"
RULES = b"""groups:
  - name: crm_events_alerts
    rules:
      - alert: CrmEventsSinkDown
        expr: up{job="crm-events-sink"} == 0
        for: 2m
"""
RULES_BEFORE = b"groups:\n  - name: crm_events_alerts\n    rules: []\n"
DASHBOARD = b'\xef\xbb\xbf{"panels": [{"id": 19}, {"id": 20}, {"id": 21}]}'
DASHBOARD_BEFORE = b'\xef\xbb\xbf{"panels": [{"id": 19}]}'


TARGET = Target.from_tables("live", {"prometheus": {"promtool": "no-promtool-here"}}, source="test")
KEYCLOAK = TARGET.keycloak.as_service
PROXY = TARGET.gateway.proxy
GATEWAY = TARGET.gateway.as_service
APEXFLOW = TARGET.apexflow.as_service
DATABASE = TARGET.apexflow.database
KAFKA = TARGET.kafka.as_service
SINK = TARGET.sink.as_service
PROMETHEUS = TARGET.prometheus.as_service
GRAFANA = TARGET.grafana.as_service
ALERTMANAGER = TARGET.alertmanager.as_service

Change = dict[Key, object]


class Recorded(Facts):
    """Facts that were read before; an exception among them is raised where it is asked for."""

    def __init__(self, answers: Change, target: Target = TARGET) -> None:
        runtime = cast("Runtime", RecordedEngine(self))
        super().__init__(target, runtime, state_dir=Path("/nonexistent"), now=lambda: NOW)
        self.answers = answers

    def once(self, key: Key, read: Callable[[], T]) -> T:
        """Return what was read before; a command follows from the recorded state."""
        if key[0] in {Facts.start_command, Facts.recreate_command, Facts.log_command}:
            return read()
        answer = self.answers[key]
        if isinstance(answer, Exception):
            raise answer
        return cast("T", answer)


@dataclass(frozen=True)
class RecordedEngine:
    """What an operator types on an engine whose containers are in the recorded states."""

    facts: Facts

    def start_command(self, service: Service) -> str:
        state = self.facts.state(service)
        if not state.found:
            return f"docker compose up -d {service.name}"
        if state.status in {"dead", "removing"}:
            return f"docker rm --force {service.container}, then docker compose up -d {service.name}"
        verb = {"paused": "unpause", "running": "restart", "restarting": "restart"}.get(state.status, "start")
        return f"docker {verb} {service.container}"

    def recreate_command(self, service: Service) -> str:
        return f"docker compose up -d --force-recreate {service.name}"

    def log_command(self, service: Service) -> str:
        return f"docker logs --tail 100 {service.container}"


def given(fact: Fact[Facts, P, T], answer: T | RunbookError, *args: P.args, **kwargs: P.kwargs) -> Change:
    """Return one fact as it was read, or the error that was met; `args` are what it was asked with."""
    return {fact.key(*args, **kwargs): answer}


def silent(*facts: Fact[Facts, [], Any]) -> Change:
    """Return that nobody answered these questions."""
    return {fact.key(): refused() for fact in facts}


def refused(where: str = "GET http://localhost/") -> UnreachableError:
    return UnreachableError("connection refused", where=where, fix="start it", reason="refused")


def answered(status: int, code: str = "") -> AnswerError:
    return AnswerError(
        f"answered {status} {code}", where="POST http://localhost/", fix="look", status=status, code=code
    )


def unspoken(reason: str) -> ProtocolError:
    """Return that somebody is there who could not be spoken to."""
    return ProtocolError(f"met {reason}", where="GET https://localhost/", fix="look", reason=reason)


def timed_out() -> UnreachableError:
    return UnreachableError(
        "did not answer within 3 s", where="GET http://localhost/", fix="start it", reason="timeout"
    )


def state(name: str, status: str = "running", **fields: Any) -> ServiceState:  # noqa: ANN401 - fields of ServiceState
    running = ServiceState(name=name, found=True, status=status, started_at=NOW - timedelta(days=1))
    return replace(running, **fields)


def port(host_port: int, *, inside: int | None = None, address: str = EVERY) -> PublishedPort:
    return PublishedPort(port=inside or host_port, protocol="tcp", address=address, host_port=host_port)


def token(tenant: str | None = "acme") -> Token:
    return Token(
        value="a.b.c",
        tenant_id=tenant,
        issuer="http://localhost:8180/realms/aetherlink",
        username="demo",
        issued_at=NOW,
        expires_at=NOW + timedelta(minutes=5),
        claims={"sub": "1", "iss": "x"},
    )


def probe(status: int, said: str = "body", *, proxy: bool = False, date: datetime = NOW) -> ProbeAnswer:
    """Return an answer in JSON; of a `proxy`, in plain text or HTML."""
    kind = "text/html" if said.startswith("<html") else "text/plain" if proxy else "application/json"
    row = meaning(status, f"{kind}\n\n{said}", GATEWAY_MEANINGS)
    assert row is not None or status < 300
    places = {"host": "HOST", "host_place": "HOST_PLACE", "address": "ADDRESS", "troubleshoot": "inv troubleshoot"}
    told = row.filled_in(places) if row else None
    return ProbeAnswer(
        status=status,
        is_proxy_404=told is not None and told.code == "no_route",
        saw=f"{status} {said}",
        date=date,
        code=told.code if told else "",
        words=told.words if told else "",
        fix=told.fix if told else "",
        is_json=not proxy,
    )


def scrape(health: str = "up", *, ago_s: float = 1.0, error: str = "", url: str = SCRAPED) -> ScrapeTarget:
    return ScrapeTarget(
        job="crm-events-sink",
        url=url,
        health=health,
        last_error=error,
        last_scrape=None if health == "unknown" else NOW - timedelta(seconds=ago_s),
        scrape_interval_s=10.0,
        dropped=False,
    )


def rules(health: str = "ok", *, name: str = "CrmEventsSinkDown") -> tuple[RuleGroup, ...]:
    rule = Rule(
        name=name,
        type="alerting",
        query='up{job="crm-events-sink"} == 0',
        duration_s=120.0,
        labels={"severity": "warning", "team": "crm"},
        annotations={},
        health=health,
        last_error="",
        last_evaluation=NOW,
        state="inactive",
        alerts=(),
    )
    return (RuleGroup(name="crm_events_alerts", file=RULES_INSIDE, interval_s=30.0, rules=(rule,)),)


def config(**fields: Any) -> LoadedConfig:  # noqa: ANN401 - fields of LoadedConfig
    healthy = LoadedConfig(
        text="",
        rule_files=(RULES_INSIDE,),
        jobs=("prometheus", "crm-events-sink"),
        scrape_interval_s=10.0,
        has_alertmanagers=True,
    )
    return replace(healthy, **fields)


def topics(age_s: float | None = 60.0, *, unread: int = 0) -> TopicFacts:
    at = None if age_s is None else NOW - timedelta(seconds=age_s)
    return TopicFacts(newest={LEADS: at, JOBS: at}, end_offsets={(LEADS, 0): 5, (JOBS, 0): 2}, unread=unread)


def series(*values: float) -> tuple[Series, ...]:
    samples = tuple((NOW - timedelta(seconds=10 * (len(values) - i)), value) for i, value in enumerate(values))
    return tuple(Series(labels={"topic": topic, "tenant_id": "acme"}, samples=samples) for topic in (LEADS, JOBS))


def crossed(name: str, *, entered: int = 17, left: int = 17, **fields: Any) -> Boundary:  # noqa: ANN401 - of Boundary
    flow = Flow(topic=LEADS, tenant_id="acme", entered=entered, left=left)
    return Boundary(name=name, flows=(flow,), since=NOW - timedelta(minutes=5), until=NOW, **fields)


def silence(value: str) -> Silence:
    return Silence(
        id="90d3ca12",
        matchers=(Matcher(name="alertname", value=value),),
        starts_at=NOW,
        ends_at=NOW + timedelta(hours=1),
        author="anna",
        comment="maintenance",
        state="active",
    )


def loud(*services: Service) -> Change:
    line = LogLine(text="level=error something loud that nobody waits for", at=NOW)
    return {Facts.log.key(service): (line,) for service in services}


HEALTHY: Change = (
    given(Facts.state, state("crm-events-sink"), SINK)
    | given(Facts.state, state("apexflow"), APEXFLOW)
    | given(Facts.state, state("apexflow-db"), DATABASE)
    | given(Facts.state, state("gateway"), GATEWAY)
    | given(Facts.state, state("traefik"), PROXY)
    | given(Facts.state, state("keycloak"), KEYCLOAK)
    | given(Facts.state, state("kafka"), KAFKA)
    | given(Facts.state, state("prometheus"), PROMETHEUS)
    | given(Facts.state, state("alertmanager"), ALERTMANAGER)
    | given(Facts.state, state("grafana"), GRAFANA)
    | given(Facts.networks, frozenset({"aether"}), SINK)
    | given(Facts.networks, frozenset({"aether"}), KAFKA)
    | given(Facts.networks, frozenset({"aether"}), PROXY)
    | given(Facts.networks, frozenset({"aether"}), GATEWAY)
    | given(Facts.networks, frozenset({"aether"}), APEXFLOW)
    | given(Facts.networks, frozenset({"aether"}), DATABASE)
    | given(Facts.networks, frozenset({"aether", "monitoring"}), PROMETHEUS)
    | given(Facts.networks, frozenset({"monitoring"}), GRAFANA)
    | given(Facts.networks, frozenset({"aether"}), KEYCLOAK)
    | given(Facts.networks, frozenset({"monitoring"}), ALERTMANAGER)
    | given(Facts.published, (port(9105), port(9106)), SINK)
    | given(Facts.published, (port(19092, inside=19092),), KAFKA)
    | given(Facts.published, (), GATEWAY)
    | given(Facts.published, (), APEXFLOW)
    | given(Facts.published, (port(9090),), PROMETHEUS)
    | given(Facts.published, (port(3000),), GRAFANA)
    | given(Facts.published, (port(8180, inside=8080),), KEYCLOAK)
    | given(Facts.published, (port(9093),), ALERTMANAGER)
    | given(Facts.host, "localhost")
    | loud(KEYCLOAK, PROXY, GATEWAY, APEXFLOW, DATABASE, KAFKA, SINK, PROMETHEUS, GRAFANA, ALERTMANAGER)
    | given(Facts.realm, RealmAnswer(status=200, saw='200 {"realm":"aetherlink"}'))
    | given(Facts.token, token())
    | given(gateway.unauthenticated_answer, probe(401, "missing bearer token"))
    | given(gateway.probe, probe(404))
    | given(gateway.last_traffic, None)
    | given(Facts.last_setup, None)
    | given(kafka.cluster, ClusterFacts(brokers=("localhost:19092",), topics={LEADS: (0,), JOBS: (0,)}))
    | given(sink.group, GroupFacts(state="stable", members=(("sink", "10.0.0.1", ((LEADS, 0), (JOBS, 0))),)))
    | given(Facts.topics, topics())
    | given(panels.unread, 0)
    | given(boundaries.api_kafka, crossed("API to Kafka"))
    | given(boundaries.kafka_sink, crossed("Kafka to sink"))
    | given(boundaries.sink_prometheus, crossed("sink to Prometheus"))
    | given(boundaries.prometheus_grafana, crossed("Prometheus to Grafana"))
    | given(
        Facts.page,
        SinkPage(
            counters={("acme", LEADS): 5.0, ("acme", JOBS): 2.0},
            rejected={},
            next_offsets={(LEADS, 0): 5, (JOBS, 0): 2},
            has_counter=True,
            at=NOW - timedelta(seconds=5),
            size_bytes=900,
        ),
    )
    | given(Facts.prometheus_ready, Readiness(ready=True, status=200, saw="Prometheus Server is Ready."))
    | given(prometheus.leads_to, "/graph")
    | given(Facts.config, config())
    | given(Facts.targets, (scrape(),))
    | given(rules_hop.rules, rules())
    | given(rules_hop.reload_succeeded, answer=True)
    | given(rules_hop.edited_since, answer=False)
    | given(panels.rates, {LEADS: 0.02, JOBS: 0.01})
    | given(panels.series, series(0.0, 5.0))
    | given(Facts.alertmanager_ready, Readiness(ready=True, status=200, saw="OK"))
    | given(alertmanager.silences, (silence("SomethingElse"),))
    | given(Facts.grafana_health, GrafanaHealth(ok=True, version="11.2.0", status=200))
    | given(
        grafana.dashboard,
        ServedDashboard(
            uid="crm-events-pipeline", title="CRM", version=1, panels=(), provisioned_file="x.json", url="/d/x"
        ),
    )
    | given(grafana.served_panels, frozenset({19, 20, 21}))
    | given(grafana.lacking_fields, {})
    | given(
        grafana.datasource,
        Datasource(
            uid="PBFA97CFB590B2093",
            name="Prometheus",
            type="prometheus",
            url="http://aether-prom:9090",
            is_default=True,
        ),
    )
    | given(grafana.datasource_health, DatasourceHealth(ok=True, message="Successfully queried the Prometheus API."))
    | given(files.rules_file, FileFact(where="rules.yml", content=RULES))
    | given(files.rules_mounted, FileFact(where="rules.yml", content=RULES))
    | given(files.rules_inside, RULES)
    | given(files.dashboard_file, FileFact(where="dashboard.json", content=DASHBOARD))
)
