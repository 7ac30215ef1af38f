"""The reference installation's monitoring/ copied for the local stack, and what is different there.

The edits are plain text, each must find what it replaces: the copy differs from the original in these places only.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from runbook.errors import RunbookError
from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports

FASTER = "scrapes and evaluates every 2 s (production: 10 s and 30 s)"
_PACKAGE = Path(__file__).parent


def copy_monitoring(layout: Layout, ports: Ports) -> None:
    """Copy monitoring/ and give the copy the local addresses and intervals. Raises RunbookError."""
    shutil.copytree(reference(), layout.monitoring)
    for name, edits in _edits(layout, ports).items():
        _edit(layout.monitoring / name, edits)


def reference() -> Path:
    """Return monitoring/ as the wheel carries it, else as it lies beside the package in a checkout."""
    places = (_PACKAGE / "monitoring", _PACKAGE.parents[1] / "monitoring")
    for place in places:
        if place.is_dir():
            return place
    raise RunbookError(
        "The reference installation is missing",
        where=" or ".join(map(str, places)),
        fix="install the package again, or run in a complete checkout",
    )


def _edits(layout: Layout, ports: Ports) -> Mapping[str, Mapping[str, str]]:
    """Return file -> what is replaced. Two services of the installation are not in the stack: no targets."""
    return {
        "prometheus.yml": {
            "scrape_interval: 10s": "scrape_interval: 2s",
            "evaluation_interval: 10s": "evaluation_interval: 2s",
            "- /etc/prometheus/crm-events-rules.yml": f"- {_quoted(layout.rules)}",
            '["aether-alertmanager:9093"]': f'["127.0.0.1:{ports.alertmanager}"]',
            '["localhost:9090"]': f'["127.0.0.1:{ports.prometheus}"]',
            '["aether-crm-events:9010"]': "[]",
            '["aether-crm-events-sink:9105"]': f'["127.0.0.1:{ports.sink_metrics}"]',
            '["aether-kafka-exporter:9308"]': "[]",
        },
        "prometheus-crm-events-rules.yml": {"interval: 30s": "interval: 2s"},
        "grafana/provisioning/datasources/prometheus.yml": {
            "http://aether-prom:9090": f"http://127.0.0.1:{ports.prometheus}",
            "timeInterval: 10s": "timeInterval: 2s",
        },
        "grafana/provisioning/dashboards/dashboards.yml": {
            "path: /var/lib/grafana/dashboards": f"path: {_quoted(layout.dashboard.parent)}",
        },
    }


def _edit(path: Path, edits: Mapping[str, str]) -> None:
    text = path.read_bytes().decode()
    for old, new in edits.items():
        if old not in text:
            raise RunbookError(
                f"The reference installation no longer holds {old!r}",
                where=str(reference() / path.name),
                fix="restore monitoring/, or correct runbook/local_stack/installation.py",
            )
        text = text.replace(old, new)
    path.write_bytes(text.encode())


def _quoted(path: Path) -> str:
    """YAML reads a JSON string as it is meant, whatever the path holds."""
    return json.dumps(str(path), ensure_ascii=False)
