"""What the checks decide on: every fact is read once, in whichever check asks first, and then shared.

Reading changes nothing anywhere. Each client is made for one reading, because checks run in threads side by side.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from runbook.diagnosis.fact_cache import Fact, FactCache
from runbook.diagnosis.settled_state import settled_state
from runbook.diagnosis.topics import TopicFacts, read_topics
from runbook.errors import RunbookError
from runbook.model import Evidence
from runbook.runs.run_history import is_change, newest_run
from runbook.settings import Target
from runbook.systems.alertmanager.client import Alertmanager
from runbook.systems.gateway.client import Gateway, ProbeAnswer
from runbook.systems.grafana.client import Grafana, GrafanaHealth
from runbook.systems.http_answer import Readiness
from runbook.systems.kafka.client import Kafka
from runbook.systems.keycloak.client import Keycloak, RealmAnswer, Token
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import LoadedConfig, ScrapeTarget
from runbook.systems.runtime import LogLine, PublishedPort, Runtime, Service, ServiceState
from runbook.systems.sink.client import Sink, SinkPage
from runbook.waiting import Clock

T = TypeVar("T")


class _Client(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Client)

_LOG_LINES = 2000


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
        since: datetime | None = None,
        now: Callable[[], datetime] = utc_now,
        clock: Clock | None = None,
    ) -> None:
        """Keep who can be asked; `timeout_s` limits each single reading, `waiting_s` all waiting together.

        `since` is how far back the flow is looked at; None: to the newest traffic run, else a quarter of an hour.
        A second look at a service is taken by `clock`.
        """
        super().__init__(waiting_s=waiting_s)
        self.target = target
        self.runtime = runtime
        self.now = now
        self.since = since
        self._clock = clock
        self.state_dir = state_dir
        self._timeout_s = timeout_s

    @property
    def reading_s(self) -> float:
        """The seconds that one reading may take."""
        return self._timeout_s

    @property
    def places(self) -> "SettingPlaces":
        """Where the settings of the target are set, for `{setting:grafana.url}` in a fix."""
        return SettingPlaces(self.target)

    # What runs the services

    @Fact
    def state(self, service: Service) -> ServiceState:
        """Return what the runtime says of a service; what does not simply run is looked at again."""
        return settled_state(lambda: self.runtime.state(service), now=self.now, clock=self._clock)

    @Fact
    def log(self, service: Service) -> tuple[LogLine, ...]:
        """Return the last lines of a service since its newest start: an older one proves nothing of now."""
        return self.runtime.log_of_start(service, tail=_LOG_LINES)

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

    @Fact
    def recreate_command(self, service: Service) -> str:
        """Return the command that starts a service with the settings that its compose file has now."""
        try:
            return self.runtime.recreate_command(service)
        except RunbookError:
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

    # What several hops ask for

    @Fact
    def realm(self) -> RealmAnswer:
        """Ask for the realm's public page."""
        return self.ask_keycloak(Keycloak.realm)

    @Fact
    def token(self) -> Token:
        """Log in as the user who creates the test data."""
        return self.ask_keycloak(Keycloak.token)

    @Fact
    def last_setup(self) -> str | None:
        """Return the id of the last run that wrote a file of this target and did not undo it; None: there was none."""
        run_log = newest_run(self.state_dir, is_change, target=self.target.name).run_log
        return run_log.run_id if run_log else None

    @Fact
    def topics(self) -> TopicFacts:
        """Return the newest events and how many the sink has not read."""
        return self.topics_now()

    @Fact
    def page(self) -> SinkPage:
        """Read the sink's metrics page."""
        return self.page_now()

    @Fact
    def prometheus_ready(self) -> Readiness:
        """Ask whether Prometheus serves."""
        return self.ask_prometheus(Prometheus.ready)

    @Fact
    def config(self) -> LoadedConfig:
        """Return Prometheus's loaded configuration."""
        return self.ask_prometheus(Prometheus.config)

    @Fact
    def targets(self) -> tuple[ScrapeTarget, ...]:
        """Return the targets of the sink's job, after its first scrape if that comes soon enough."""

        def look() -> tuple[tuple[ScrapeTarget, ...], bool]:
            found = self.ask_prometheus(Prometheus.targets)
            mine = tuple(one for one in found if one.job == self.target.prometheus.job)
            return mine, bool(mine) and all(self.is_settled(one) for one in mine)

        return self.until(look)

    def is_settled(self, one: ScrapeTarget) -> bool:
        """Say whether a target's health is of now: a failed scrape counts if the sink's page had answered before it."""
        if one.health == "down" and one.last_scrape is not None:
            return one.last_scrape > self.page().at
        return one.health == "up"

    @Fact
    def alertmanager_ready(self) -> Readiness:
        """Ask whether Alertmanager serves."""
        return self.ask_alertmanager(Alertmanager.ready)

    @Fact
    def grafana_health(self) -> GrafanaHealth:
        """Ask for Grafana's health."""
        return self.ask_grafana(Grafana.health)

    # How each system is read; a fact that one hop alone needs stands in that hop's module

    def ask_keycloak(self, read: Callable[[Keycloak], T]) -> T:
        """Read something of Keycloak, within the time of one reading."""
        return _answer(Keycloak(self.target.keycloak, self._timeout_s), read)

    def ask_gateway(self, token: str) -> ProbeAnswer:
        """Ask the gateway for what cannot exist, with a token."""
        return _answer(Gateway(self.target.gateway, token, self._timeout_s), Gateway.probe)

    def ask_kafka(self, read: Callable[[Kafka], T]) -> T:
        """Read something of Kafka, within the time of one reading."""
        return _answer(Kafka(self.target.kafka, self._timeout_s), read)

    def ask_prometheus(self, read: Callable[[Prometheus], T]) -> T:
        """Read something of Prometheus, within the time of one reading."""
        return _answer(Prometheus(self.target.prometheus, self._timeout_s), read)

    def ask_alertmanager(self, read: Callable[[Alertmanager], T]) -> T:
        """Read something of Alertmanager, within the time of one reading."""
        return _answer(Alertmanager(self.target.alertmanager, self._timeout_s), read)

    def ask_grafana(self, read: Callable[[Grafana], T]) -> T:
        """Read something of Grafana, within the time of one reading."""
        return _answer(Grafana(self.target.grafana, self._timeout_s), read)

    def page_now(self) -> SinkPage:
        """Read the sink's page once more: it may have counted on meanwhile."""
        return _answer(Sink(self.target.sink, self._timeout_s), Sink.page)

    def topics_now(self) -> TopicFacts:
        """Read the topics once more: the sink may have read on meanwhile."""
        settings, timeout_s = self.target.kafka, self._timeout_s
        return self.ask_kafka(lambda kafka: read_topics(kafka, settings, timeout_s, self._next_offsets()))

    def _next_offsets(self) -> Mapping[tuple[str, int], int]:
        """Return the positions that the sink's page shows; an older sink, or one that is down, shows none."""
        try:
            return self.page_now().next_offsets
        except RunbookError:
            return {}


class SettingPlaces:
    """What `{setting:grafana.url}` in a text is formatted with: the place that decides this setting of a target."""

    def __init__(self, target: Target) -> None:
        """Keep the target."""
        self._target = target

    def __format__(self, name: str) -> str:
        """Return the place of a setting: `group.setting`."""
        group, _, setting = name.partition(".")
        return self._target.groups[group].place_of(setting)


def _answer(client: C, read: Callable[[C], T]) -> T:
    with closing(client):
        return read(client)


def saw(source: str, text: str) -> Evidence:
    """Return one observation."""
    return Evidence(source=source, saw=text)
