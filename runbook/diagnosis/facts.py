"""What the checks decide on: every fact is read once, in whichever check asks first, and then shared.

Reading changes nothing anywhere. Each client is made for one reading, because checks run in threads side by side.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TypeVar

from runbook.diagnosis.fact_cache import Fact, FactCache
from runbook.diagnosis.files import FileFact, our_panels, read_file
from runbook.diagnosis.topics import TopicFacts, read_topics
from runbook.errors import AnswerError, RunbookError, UsageError
from runbook.files.file_discovery import dashboard_path, mounted_rules, rules_path
from runbook.invocation import inv
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
from runbook.systems.runtime import LogLine, PublishedPort, Runtime, Service, ServiceState
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


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


class Facts(FactCache):
    """The facts about one target. Every fact raises the RunbookError of its client, each time it is asked.

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
        waiting_s: float = 12.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Keep who can be asked; `timeout_s` limits each single reading, `waiting_s` all waiting together."""
        super().__init__(waiting_s=waiting_s)
        self.target = target
        self.runtime = runtime
        self.now = now
        self._state_dir = state_dir
        self._timeout_s = timeout_s

    # What runs the services

    @Fact
    def state(self, service: Service) -> ServiceState:
        """Return what the runtime says of a service."""
        return self.runtime.state(service)

    @Fact
    def log(self, service: Service) -> tuple[LogLine, ...]:
        """Return the last lines of a service."""
        return self.runtime.log(service, tail=_LOG_LINES)

    @Fact
    def networks(self, service: Service) -> frozenset[str]:
        """Return the networks of a service."""
        return self.runtime.networks(service)

    @Fact
    def published(self, service: Service) -> tuple[PublishedPort, ...]:
        """Return the ports of a service that its host passes on to it."""
        return self.runtime.published(service)

    @Fact
    def start_command(self, service: Service) -> str:
        """Return the command that gets a service to run as it should from the state it is in now."""
        try:
            return self.runtime.start_command(service)
        except RunbookError:  # `docker restart` starts a stopped container, too
            return f"docker restart {service.container}"

    def recreate_command(self, service: Service) -> str:
        """Return the command that starts a service with the settings that its compose file has now."""
        if self.target.runtime.kind == "processes":
            return self.start_command(service)
        return f"docker compose up -d --force-recreate {service.name}"

    @Fact
    def log_command(self, service: Service) -> str:
        """Return the command that shows its last lines."""
        try:
            return self.runtime.log_command(service)
        except RunbookError:
            return f"docker logs --tail 100 {service.container}"

    @Fact
    def host(self) -> str:
        """Return the host of the services as it is called from here."""
        return self.runtime.host()

    # Keycloak, the gateway, ApexFlow

    @Fact
    def realm(self) -> RealmAnswer:
        """Ask for the realm's public page."""
        return self._keycloak(Keycloak.realm)

    @Fact
    def token(self) -> Token:
        """Log in as the user who creates the test data."""
        return self._keycloak(Keycloak.token)

    @Fact
    def unauthenticated_answer(self) -> ProbeAnswer:
        """Ask the gateway without a token: any answer proves that it, or the edge proxy before it, runs."""
        return self._probe(_NO_TOKEN)

    @Fact
    def probe(self) -> ProbeAnswer:
        """Ask the gateway with a token for what cannot exist: the answer proves the whole way to ApexFlow."""
        return self._probe(self.token().value)

    @Fact
    def last_traffic(self) -> tuple[str, tuple[RunEvent, ...]] | None:
        """Return run id and events of the last traffic on this target; None when there was none."""
        run_log = last_run(self._state_dir, target=self.target.name, holding="traffic")
        return (run_log.run_id, run_log.events()) if run_log else None

    @Fact
    def last_setup(self) -> str | None:
        """Return the id of the last run that wrote one of the files of this target; None when there was none."""
        run_log = last_run(self._state_dir, target=self.target.name, holding="replaces")
        return run_log.run_id if run_log else None

    # Kafka

    @Fact
    def cluster(self) -> ClusterFacts:
        """Return brokers and topics."""
        return self._kafka(Kafka.metadata)

    @Fact
    def group(self) -> GroupFacts | None:
        """Return the sink's group; None when the broker cannot say."""
        return self._kafka(Kafka.group)

    @Fact
    def topics(self) -> TopicFacts:
        """Return the newest events and how many the sink has not read."""
        return self._topics()

    @Fact
    def unread(self) -> int:
        """Return how many events the sink has not read, after it had time to commit what it has."""

        def look() -> tuple[int, bool]:
            unread = self._topics().unread
            return unread, unread == 0

        return self.until(look) if self.topics().unread else 0

    # The sink, Prometheus, Alertmanager

    @Fact
    def page(self) -> SinkPage:
        """Read the sink's metrics page."""
        return self._page()

    @Fact
    def prometheus_ready(self) -> Readiness:
        """Ask whether Prometheus serves."""
        return self._prometheus(Prometheus.ready)

    @Fact
    def config(self) -> LoadedConfig:
        """Return Prometheus's loaded configuration."""
        return self._prometheus(Prometheus.config)

    @Fact
    def targets(self) -> tuple[ScrapeTarget, ...]:
        """Return the targets of the sink's job, after its first scrape if that comes soon enough."""

        def look() -> tuple[tuple[ScrapeTarget, ...], bool]:
            found = self._prometheus(Prometheus.targets)
            mine = tuple(one for one in found if one.job == self.target.prometheus.job)
            return mine, bool(mine) and all(self.is_settled(one) for one in mine)

        return self.until(look)

    def is_settled(self, one: ScrapeTarget) -> bool:
        """Say whether a target's health is of now: a failed scrape counts if the sink's page had answered before it."""
        if one.health == "down" and one.last_scrape is not None:
            return one.last_scrape > self.page().at
        return one.health == "up"

    def shown_after(self) -> timedelta:
        """Return how long an event needs to the panel: a new series is served at 0 for one scrape before it moves."""
        return timedelta(seconds=1 + 2 * max((one.scrape_interval_s for one in self.targets()), default=0.0))

    @Fact
    def rules(self) -> tuple[RuleGroup, ...]:
        """Return Prometheus's loaded rules, the runbook's evaluated at least once if that comes soon enough."""

        def look() -> tuple[tuple[RuleGroup, ...], bool]:
            groups = self._prometheus(Prometheus.rules)
            mine = (rule for group in groups for rule in group.rules if rule.name == ALERT)
            return groups, all(rule.health != "unknown" for rule in mine)

        return self.until(look)

    @Fact
    def reload_succeeded(self) -> bool | None:
        """Say whether Prometheus's last reload succeeded; None when it does not say."""
        return self._prometheus(Prometheus.last_reload_successful)

    @Fact
    def rates(self) -> Mapping[str, float]:
        """Return what panel 20 shows: events a second by topic, after the newest events if they show soon enough."""
        newest, shown_after = self.topics().newest, self.shown_after()

        def look() -> tuple[Mapping[str, float], bool]:
            samples = self._prometheus(lambda prometheus: prometheus.query(PANEL_20))
            rates = {sample.labels.get("topic", ""): sample.value for sample in samples}
            young = [topic for topic, at in newest.items() if at is not None and self.now() - at < shown_after]
            return rates, all(rates.get(topic, 0.0) > 0 for topic in young)

        return self.until(look)

    @Fact
    def series(self) -> tuple[Series, ...]:
        """Return the counter's raw samples of the panel's window."""
        return self._prometheus(lambda one: one.samples(COUNTER, window_s=WINDOW_S))

    @Fact
    def alertmanager_ready(self) -> Readiness:
        """Ask whether Alertmanager serves."""
        return self._alertmanager(Alertmanager.ready)

    @Fact
    def silences(self) -> tuple[Silence, ...]:
        """Return the active silences."""
        return self._alertmanager(Alertmanager.silences)

    # Grafana

    @Fact
    def grafana_health(self) -> GrafanaHealth:
        """Ask for Grafana's health."""
        return self._grafana(Grafana.health)

    @Fact
    def dashboard(self) -> ServedDashboard | None:
        """Return the dashboard as served; None when there is none of that uid."""
        return self._dashboard()

    @Fact
    def served_panels(self) -> frozenset[int]:
        """Return which of the runbook's panels are served, after Grafana had time to read its files."""

        def look() -> tuple[frozenset[int], bool]:
            served = self._dashboard()
            ids = our_panels(served.panels if served else ())
            return ids, ids >= NEW_PANELS

        return self.until(look)

    @Fact
    def datasource(self) -> Datasource:
        """Return the datasource that the panels query; AnswerError NO_DATASOURCE: none has that name or uid."""
        mine = self.target.grafana
        sources = self._grafana(Grafana.datasources)
        for one in sources:
            if one.uid == mine.datasource_uid or (not mine.datasource_uid and one.name == mine.datasource):
                return one
        raise AnswerError(
            f"it has {', '.join(sorted(one.name for one in sources)) or 'none'}",
            where=f"GET {mine.url}/api/datasources",
            fix=inv("troubleshoot"),
            status=HTTPStatus.OK,
            code=NO_DATASOURCE,
        )

    @Fact
    def datasource_health(self) -> DatasourceHealth:
        """Let Grafana try that datasource."""
        uid = self.datasource().uid
        return self._grafana(lambda grafana: grafana.datasource_health(uid))

    # The two files

    @Fact
    def rules_file(self) -> FileFact:
        """Return the rules file of this host that setup would change; else the one inside Prometheus's container."""
        mine, runtime = self.target.prometheus, self.runtime
        return read_file(runtime, mine.as_service, self._here(rules_path), inside=mine.rules_inside)

    @Fact
    def rules_inside(self) -> bytes | None:
        """Return the rules file as Prometheus itself sees it; None if it is not there."""
        return self.runtime.file_inside(self.target.prometheus.as_service, self.target.prometheus.rules_inside)

    @Fact
    def rules_mounted(self) -> FileFact | None:
        """Return the file of this host that Prometheus's container has as its rules file; None if nobody can say.

        That is the mounted one; without a mount, the one of the settings.
        """
        mine, runtime = self.target.prometheus, self.runtime
        path = mounted_rules(self.target, runtime) or self._here(rules_path)
        return read_file(runtime, mine.as_service, path, inside=mine.rules_inside) if path else None

    @Fact
    def dashboard_file(self) -> FileFact:
        """Return the dashboard file of this host that setup would change; else the one inside Grafana's container."""
        mine, runtime = self.target.grafana, self.runtime
        return read_file(runtime, mine.as_service, self._here(dashboard_path), inside=mine.dashboard_inside)

    def _here(self, path: Callable[[Target, Runtime], Path]) -> Path | None:
        """Return the path of a file on this host; None where nothing names one."""
        try:
            return path(self.target, self.runtime)
        except UsageError:
            return None

    # How each system is read

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

    def _page(self) -> SinkPage:
        return _asked(Sink(self.target.sink, self._timeout_s), Sink.page)

    def _dashboard(self) -> ServedDashboard | None:
        return self._grafana(lambda grafana: grafana.dashboard(self.target.grafana.dashboard_uid))

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
