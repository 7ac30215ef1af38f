"""The settings of target `local`, as `runbook.settings.load_target` reads them."""

import json
from collections.abc import Mapping

from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from runbook.local_stack.tools import Tools

Tables = Mapping[str, Mapping[str, str]]


def target_settings(layout: Layout, ports: Ports, tools: Tools) -> Tables:
    """Return group -> setting -> value. Credentials are the defaults: the ones that the runbook names."""
    return {
        "runtime": {"kind": "processes"},
        "files": {"dashboard": str(layout.dashboard), "rules": str(layout.rules)},
        "keycloak": {"url": f"http://127.0.0.1:{ports.keycloak}"},
        "gateway": {"url": f"http://127.0.0.1:{ports.gateway}"},
        "kafka": {"bootstrap": _bootstrap(layout, ports)},
        "sink": {
            "metrics_url": f"http://127.0.0.1:{ports.sink_metrics}/metrics",
            "http_url": f"http://127.0.0.1:{ports.sink_http}",
        },
        "prometheus": {
            "url": f"http://127.0.0.1:{ports.prometheus}",
            "rules_inside": str(layout.rules),
            "promtool": str(tools.promtool or "promtool"),
        },
        "alertmanager": {"url": f"http://127.0.0.1:{ports.alertmanager}"},
        "grafana": {"url": f"http://127.0.0.1:{ports.grafana}", "dashboard_inside": str(layout.dashboard)},
    }


def _bootstrap(layout: Layout, ports: Ports) -> str:
    """Return the broker's address; where it has not come up, one of its ports, at which nobody answers either."""
    if layout.bootstrap.exists():
        return layout.bootstrap.read_text(encoding="ascii").strip()
    return f"127.0.0.1:{ports.kafka_control}"


def toml(tables: Tables) -> bytes:
    """Write the tables as TOML, whose basic strings are JSON's."""
    groups = (_group(name, values) for name, values in tables.items())
    return "\n".join(["# Written by stack.up; removed by stack.down.\n", *groups]).encode()


def _group(name: str, values: Mapping[str, str]) -> str:
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
    return f"[{name}]\n{''.join(lines)}"
