"""Grafana's dashboard provider points to a folder with the dashboard as it was before setup."""

import json
from typing import Any

from runbook.local_stack.fault_injector import FaultInjector

_PANELS = frozenset({20, 21})


def inject(injector: FaultInjector) -> str:
    injector.must_be_set_up(injector.layout.dashboard, '"id": 21')
    dashboard = json.loads(injector.layout.dashboard.read_text(encoding="utf-8-sig"))
    old = [panel for panel in dashboard["panels"] if panel.get("id") not in _PANELS]
    folder = injector.layout.data / "old-dashboards"
    folder.mkdir(exist_ok=True)
    (folder / injector.layout.dashboard.name).write_text(json.dumps({**dashboard, "panels": old}), encoding="utf-8")

    def moved(config: dict[str, Any]) -> None:
        config["providers"][0]["options"]["path"] = str(folder)

    injector.reprovision_grafana("dashboards/dashboards.yml", moved)
    return f"Grafana's provider was pointed to the old dashboard in {folder}"
