"""Grafana's datasource leads to a port at which nothing listens."""

from typing import Any

from runbook.local_stack.fault_injector import FaultInjector
from runbook.local_stack.ports import Ports


def inject(injector: FaultInjector) -> str:
    port = Ports.free().prometheus

    def moved(config: dict[str, Any]) -> None:
        config["datasources"][0]["url"] = f"http://127.0.0.1:{port}"

    injector.reprovision_grafana("datasources/prometheus.yml", moved)
    return f"the address of Grafana's datasource was changed to port {port}"
