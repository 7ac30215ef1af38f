"""What the checks decide on: every fact is read once, in whichever check asks first, and then shared.

Reading changes nothing anywhere. Each client is made for one reading, because checks run in threads side by side.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TypeVar

from runbook.diagnosis.fact_cache import Once
from runbook.diagnosis.files import FileFact, our_panels, read_file
from runbook.diagnosis.topics import TopicFacts, read_topics
from runbook.errors import AnswerError, RunbookError
from runbook.model import Evidence
from runbook.names import ALERT, COUNTER
from runbook.runs.run_log import RunEvent, last_run
from runbook.settings import Target
from runbook.systems.alertmanager.client import Alertmanager, Silence
from runbook.systems.gateway.client import Gateway, ProbeAnswer
from runbook.systems.grafana.client import Datasource, DatasourceHealth, Grafana, GrafanaHealth, ServedDashboard
from runbook.systems.http import Readiness
from runbook.systems.kafka.client import ClusterFacts, GroupFacts, Kafka
from runbook.systems.keycloak.client import Keycloak, RealmAnswer, Token
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import LoadedConfig, RuleGroup, ScrapeTarget, Series
from runbook.systems.runtime import LogLine, Runtime, Service, ServiceState
from runbook.systems.sink.client import Sink, SinkPage

T = TypeVar("T")


class _Client(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Client)

PANEL_20 = f"sum by (topic) (rate({COUNTER}[5m]))"
WINDOW_S = 300.0
NEW_PANELS = frozenset({20, 21})
NO_DATASOURCE = "no_datasource"
_LOG_LINES = 2000
_NO_TOKEN = "none"  # noqa: S105 - an invalid one, on purpose


class Facts(Once):
    """The facts about one target. Every method raises the RunbookError of its client, each time it is asked.

    Right after a restart or an event some facts are not there yet: Prometheus has not scraped or evaluated, Grafana not
    read its files, the sink not committed. Those are waited for, and only when they are missing.
    """

    def __init__(
        self,
        target: Target,
        runtime: Runtime,
        *,
        state_dir: Path,
        timeout_s: float = 3.0,
        patience_s: float = 12.0,
    ) -> None:
        """Keep who can be asked; `timeout_s` limits each single reading, `patience_s` all waiting together."""
        super().__init__(patience_s=patience_s)
        self.target = target
        self.runtime = runtime
        self._state_dir = state_dir
        self._timeout_s = timeout_s

    # What runs the services

    def state(self, service: Service) -> ServiceState:
        """Return what the runtime says of a service."""
        return self.once(f"state {service.name}", lambda: self.runtime.state(service))

    def log(self, service: Service) -> tuple[LogLine, ...]:
        """Return the last lines of a service."""
        return self.once(f"log {service.name}", lambda: self.runtime.log(service, tail=_LOG_LINES))

    # Keycloak, the gateway, ApexFlow

    def realm(self) -> RealmAnswer:
        """Ask for the realm's public page."""
        return self.once("realm", lambda: self._keycloak(Keycloak.realm))

    def token(self) -> Token:
        """Log in as the user who creates the test data."""
        return self.once("token", lambda: self._keycloak(Keycloak.token))

    def doorbell(self) -> ProbeAnswer:
        """Ask the gateway without a token: any answer proves that somebody is at the door."""
        return self.once("doorbell", lambda: self._probe(_NO_TOKEN))

    def probe(self) -> ProbeAnswer:
        """Ask the gateway with a token for what cannot exist: the answer proves the whole way to ApexFlow."""
        return self.once("probe", lambda: self._probe(self.token().value))

    def last_traffic(self) -> tuple[str, tuple[RunEvent, ...]] | None:
        """Return run id and events of the last traffic on this target; None when there was none."""
        return self.once("last traffic", self._last_traffic)

    # Kafka

    def cluster(self) -> ClusterFacts:
        """Return brokers and topics."""
        return self.once("cluster", lambda: self._kafka(Kafka.metadata))

    def group(self) -> GroupFacts | None:
        """Return the sink's group; None when the broker cannot say."""
        return self.once("group", lambda: self._kafka(Kafka.group))

    def topics(self) -> TopicFacts:
        """Return the newest events and how many the sink has not read."""
        return self.once("topics", self._topics)

    def unread(self) -> int:
        """Return how many events the sink has not read, after it had time to commit what it has."""
        return self.once("unread", self._unread)

    # The sink, Prometheus, Alertmanager, Grafana

    def page(self) -> SinkPage:
        """Read the sink's metrics page."""
        return self.once("page", self._page)

    def prometheus_ready(self) -> Readiness:
        """Ask whether Prometheus serves."""
        return self.once("prometheus ready", lambda: self._prometheus(Prometheus.ready))

    def config(self) -> LoadedConfig:
        """Return Prometheus's loaded configuration."""
        return self.once("config", lambda: self._prometheus(Prometheus.config))

    def targets(self) -> tuple[ScrapeTarget, ...]:
        """Return the targets of the sink's job, after its first scrape if that comes soon enough."""
        return self.once("targets", self._targets)

    def is_settled(self, one: ScrapeTarget) -> bool:
        """Say whether a target's health is of now: a failed scrape counts if the sink's page had answered before it."""
        if one.health == "down" and one.last_scrape is not None:
            return one.last_scrape > self.page().at
        return one.health == "up"

    def shown_after(self) -> timedelta:
        """Return how long an event needs to the panel: a new series is served at 0 for one scrape before it moves."""
        return timedelta(seconds=1 + 2 * max((one.scrape_interval_s for one in self.targets()), default=0.0))

    def rules(self) -> tuple[RuleGroup, ...]:
        """Return Prometheus's loaded rules, the runbook's evaluated at least once if that comes soon enough."""
        return self.once("rules", self._rules)

    def reload_succeeded(self) -> bool | None:
        """Say whether Prometheus's last reload succeeded; None when it does not say."""
        return self.once("reload", lambda: self._prometheus(Prometheus.last_reload_successful))

    def rates(self) -> Mapping[str, float]:
        """Return what panel 20 shows: events a second by topic, after the newest events if they show soon enough."""
        return self.once("rates", self._rates)

    def series(self) -> tuple[Series, ...]:
        """Return the counter's raw samples of the panel's window."""
        return self.once("series", lambda: self._prometheus(lambda one: one.samples(COUNTER, window_s=WINDOW_S)))

    def alertmanager_ready(self) -> Readiness:
        """Ask whether Alertmanager serves."""
        return self.once("alertmanager ready", lambda: self._alertmanager(Alertmanager.ready))

    def silences(self) -> tuple[Silence, ...]:
        """Return the active silences."""
        return self.once("silences", lambda: self._alertmanager(Alertmanager.silences))

    def grafana_health(self) -> GrafanaHealth:
        """Ask for Grafana's health."""
        return self.once("grafana health", lambda: self._grafana(Grafana.health))

    def dashboard(self) -> ServedDashboard | None:
        """Return the dashboard as served; None when there is none of that uid."""
        return self.once("dashboard", self._dashboard)

    def served_panels(self) -> frozenset[int]:
        """Return which of the runbook's panels are served, after Grafana had time to read its files."""
        return self.once("served panels", self._served_panels)

    def datasource(self) -> Datasource:
        """Return the datasource that the panels query; AnswerError NO_DATASOURCE: none has that name or uid."""
        return self.once("datasource", self._datasource)

    def datasource_health(self) -> DatasourceHealth:
        """Let Grafana try that datasource."""
        uid = self.datasource().uid
        return self.once("datasource health", lambda: self._grafana(lambda grafana: grafana.datasource_health(uid)))

    # The two files

    def rules_file(self) -> FileFact:
        """Return the rules file."""
        files, mine = self.target.files, self.target.prometheus
        path = files.rules or (files.monitoring_dir and files.monitoring_dir / "prometheus-crm-events-rules.yml")
        service = Service(name=mine.service, container=mine.container)
        return self.once("rules file", lambda: read_file(self.runtime, service, path, mine.rules_inside))

    def dashboard_file(self) -> FileFact:
        """Return the dashboard file."""
        files, mine = self.target.files, self.target.grafana
        path = files.dashboard or (
            files.monitoring_dir and files.monitoring_dir / "grafana/dashboards/crm_events_pipeline.json"
        )
        service = Service(name=mine.service, container=mine.container)
        return self.once("dashboard file", lambda: read_file(self.runtime, service, path, mine.dashboard_inside))

    # How each is read

    def _keycloak(self, read: Callable[[Keycloak], T]) -> T:
        return _asked(Keycloak(self.target.keycloak, self._timeout_s), read)

    def _kafka(self, read: Callable[[Kafka], T]) -> T:
        return _asked(Kafka(self.target.kafka, self._timeout_s), read)

    def _prometheus(self, read: Callable[[Prometheus], T]) -> T:
        return _asked(Prometheus(self.target.prometheus, self._timeout_s), read)

    def _alertmanager(self, read: Callable[[Alertmanager], T]) -> T:
        return _asked(Alertmanager(self.target.alertmanager, self._timeout_s), read)

    def _grafana(self, read: Callable[[Grafana], T]) -> T:
        return _asked(Grafana(self.target.grafana, self._timeout_s), read)

    def _probe(self, token: str) -> ProbeAnswer:
        return _asked(Gateway(self.target.gateway, token, self._timeout_s), Gateway.probe)

    def _last_traffic(self) -> tuple[str, tuple[RunEvent, ...]] | None:
        record = last_run(self._state_dir, target=self.target.name, holding="traffic")
        return (record.run_id, record.events()) if record else None

    def _page(self) -> SinkPage:
        return _asked(Sink(self.target.sink, self._timeout_s), Sink.page)

    def _targets(self) -> tuple[ScrapeTarget, ...]:
        def look() -> tuple[tuple[ScrapeTarget, ...], bool]:
            found = self._prometheus(Prometheus.targets)
            mine = tuple(one for one in found if one.job == self.target.prometheus.job)
            return mine, bool(mine) and all(self.is_settled(one) for one in mine)

        return self.until(look)

    def _rates(self) -> Mapping[str, float]:
        newest, shown_after = self.topics().newest, self.shown_after()

        def look() -> tuple[Mapping[str, float], bool]:
            samples = self._prometheus(lambda prometheus: prometheus.query(PANEL_20))
            rates = {sample.labels.get("topic", ""): sample.value for sample in samples}
            young = [topic for topic, at in newest.items() if at is not None and now() - at < shown_after]
            return rates, all(rates.get(topic, 0.0) > 0 for topic in young)

        return self.until(look)

    def _rules(self) -> tuple[RuleGroup, ...]:
        def look() -> tuple[tuple[RuleGroup, ...], bool]:
            groups = self._prometheus(Prometheus.rules)
            mine = (rule for group in groups for rule in group.rules if rule.name == ALERT)
            return groups, all(rule.health != "unknown" for rule in mine)

        return self.until(look)

    def _dashboard(self) -> ServedDashboard | None:
        return self._grafana(lambda grafana: grafana.dashboard(self.target.grafana.dashboard_uid))

    def _datasource(self) -> Datasource:
        mine = self.target.grafana
        sources = self._grafana(Grafana.datasources)
        for one in sources:
            if one.uid == mine.datasource_uid or (not mine.datasource_uid and one.name == mine.datasource):
                return one
        raise AnswerError(
            f"it has {', '.join(sorted(one.name for one in sources)) or 'none'}",
            where=f"GET {mine.url}/api/datasources",
            fix="inv troubleshoot",
            status=HTTPStatus.OK,
            code=NO_DATASOURCE,
        )

    def _served_panels(self) -> frozenset[int]:
        def look() -> tuple[frozenset[int], bool]:
            served = self._dashboard()
            ids = our_panels(served.panels if served else ())
            return ids, ids >= NEW_PANELS

        return self.until(look)

    def _unread(self) -> int:
        def look() -> tuple[int, bool]:
            unread = self._topics().unread
            return unread, unread == 0

        return self.until(look) if self.topics().unread else 0

    def _topics(self) -> TopicFacts:
        return self._kafka(lambda kafka: read_topics(kafka, self.target.kafka, self._timeout_s, self._next_offsets()))

    def _next_offsets(self) -> Mapping[tuple[str, int], int]:
        """Return the positions that the sink's page shows; an older sink, or one that is down, shows none."""
        try:
            return self._page().next_offsets
        except RunbookError:
            return {}


def _asked(client: C, read: Callable[[C], T]) -> T:
    with closing(client):
        return read(client)


def saw(source: str, text: str) -> Evidence:
    """Return one observation."""
    return Evidence(source=source, saw=text)


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)
