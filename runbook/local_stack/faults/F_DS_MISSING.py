"""Grafana's datasource has another name."""

from typing import Any

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    def renamed(config: dict[str, Any]) -> None:
        config["datasources"][0]["name"] = "Another"

    injector.reprovision_grafana("datasources/prometheus.yml", renamed)
    return "Grafana's datasource was renamed"
