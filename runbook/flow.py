"""The hops in the order of the flow: the one list that every other order is derived from."""

from typing import Final

HOPS: Final = (
    "runtime",
    "keycloak",
    "token",
    "proxy",
    "gateway",
    "apexflow",
    "database",
    "kafka",
    "sink",
    "metrics",
    "prometheus",
    "rules",
    "grafana",
    "alertmanager",
    "panels",
)
