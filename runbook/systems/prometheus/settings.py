"""Prometheus: where it is, and who we are there."""

from pydantic import Field

from runbook.systems.http_settings import Address, LoginSettings


class PrometheusSettings(LoginSettings):
    """Prometheus."""

    url: Address = Field("http://localhost:9090", description="base address, with its path prefix where it has one")
    job: str = Field("crm-events-sink", description="scrape job of the sink")
    rules_inside: str = Field("/etc/prometheus/crm-events-rules.yml", description="rules file as it is inside")
    promtool: str = Field("promtool", description="program that checks rules files, used where it is found")
    service: str = Field("prometheus", description="compose service")
    container: str = Field("aether-prom", description="container name")
