"""Every question of every client that is asked by HTTP, for tests of what a server may do to all of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from runbook.systems.alertmanager.client import Alertmanager, Matcher
from runbook.systems.alertmanager.settings import AlertmanagerSettings
from runbook.systems.gateway.client import Gateway
from runbook.systems.gateway.settings import GatewaySettings
from runbook.systems.grafana.client import Grafana
from runbook.systems.grafana.settings import GrafanaSettings
from runbook.systems.keycloak.client import Keycloak
from runbook.systems.keycloak.settings import KeycloakSettings
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.settings import PrometheusSettings
from runbook.systems.sink.client import Sink
from runbook.systems.sink.settings import SinkSettings

AT: Final = datetime(2026, 11, 27, tzinfo=UTC)

CLIENTS: Final[dict[str, Callable[..., Any]]] = {
    "keycloak": lambda url, timeout_s, **more: Keycloak(KeycloakSettings(url=url, **more), timeout_s),
    "gateway": lambda url, timeout_s, **more: Gateway(GatewaySettings(url=url, **more), "a.token.x", timeout_s),
    "sink": lambda url, timeout_s, **more: Sink(
        SinkSettings(metrics_url=f"{url}/metrics", http_url=url, **more), timeout_s
    ),
    "prometheus": lambda url, timeout_s, **more: Prometheus(PrometheusSettings(url=url, **more), timeout_s),
    "alertmanager": lambda url, timeout_s, **more: Alertmanager(AlertmanagerSettings(url=url, **more), timeout_s),
    "grafana": lambda url, timeout_s, **more: Grafana(GrafanaSettings(url=url, **more), timeout_s),
}
"""Makes the client of a system for the server at an address, with `more` settings."""

Ask = Callable[[Any], object]

QUESTIONS: Final[dict[str, Ask]] = {
    "keycloak.token": Keycloak.token,
    "gateway.create_lead": lambda one: one.create_lead(name="n", email="e", source="s"),
    "gateway.create_job": lambda one: one.create_job(lead_id=1, title="t", status="s", description="d"),
    "sink.page": Sink.page,
    "sink.health": Sink.health,
    "prometheus.config": Prometheus.config,
    "prometheus.targets": Prometheus.targets,
    "prometheus.rules": Prometheus.rules,
    "prometheus.query": lambda one: one.query("up"),
    "prometheus.samples": lambda one: one.samples("up", window_s=60),
    "prometheus.alertmanagers": Prometheus.alertmanagers,
    "prometheus.runtime": Prometheus.runtime,
    "alertmanager.alerts": Alertmanager.alerts,
    "alertmanager.silences": Alertmanager.silences,
    "alertmanager.silence": lambda one: one.silence((Matcher(name="a", value="b"),), author="", comment="", ends_at=AT),
    "grafana.health": Grafana.health,
    "grafana.dashboard": lambda one: one.dashboard("uid"),
    "grafana.datasources": Grafana.datasources,
    "grafana.datasource_health": lambda one: one.datasource_health("uid"),
    "grafana.query": lambda one: one.query([{"refId": "A"}], datasource_uid="uid", start=AT, end=AT),
}
"""By system and method; of each, only one answer is right."""

ANY_ANSWER: Final[dict[str, Ask]] = {
    "keycloak.realm": Keycloak.realm,
    "gateway.probe": Gateway.probe,
    "prometheus.ready": Prometheus.ready,
    "prometheus.leads_to": Prometheus.leads_to,
    "prometheus.reload": Prometheus.reload,
    "prometheus.last_reload_successful": Prometheus.last_reload_successful,
    "alertmanager.ready": Alertmanager.ready,
    "alertmanager.expire": lambda one: one.expire("id"),
}
"""Those that take whatever is answered, and quote it."""
