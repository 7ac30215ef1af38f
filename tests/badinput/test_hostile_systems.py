"""Hostile systems through the real command: it ends, in three parts, within little memory, and touches no file.

Each of these servers would hold or fill a client without limits for ever; the time-outs of the runs below are wide, and
only say that none of them did.
"""

import json
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from runbook.runs.new_run import begin_run
from tests.installation import Installation, an_installation, looks_of
from tests.loopback import Loopback, Reply
from tests.schema import validate
from tests.small_engine import Engine
from tests.systems.hostile_servers import FOREIGN, GARBLED, SLOW, answers
from tests.systems.loopback_servers import Behaviour, RawServer

DRIVER: Final = Path(__file__).with_name("measured.py")
TIMEOUT_S: Final = 40
MOST_BYTES: Final = 150_000_000
JWT: Final = f"e30.{urlsafe_b64encode(json.dumps({'tenant_id': 'acme'}).encode()).decode().rstrip('=')}.x"
ADDRESSES: Final = {
    "keycloak": "RUNBOOK_KEYCLOAK_URL",
    "gateway": "RUNBOOK_GATEWAY_URL",
    "sink": "RUNBOOK_SINK_METRICS_URL",
    "prometheus": "RUNBOOK_PROMETHEUS_URL",
    "alertmanager": "RUNBOOK_ALERTMANAGER_URL",
    "grafana": "RUNBOOK_GRAFANA_URL",
}
CONTAINERS: Final = {
    "keycloak": "aether-keycloak",
    "gateway": "aether-gateway",
    "crm-events-sink": "aether-crm-events-sink",
    "prometheus": "aether-prom",
    "alertmanager": "aether-alertmanager",
    "grafana": "aether-grafana",
}
COMMANDS: Final = {
    "setup --dry-run --timeout 2": ("prometheus", "grafana"),
    "traffic --yes --leads 1 --jobs 0 --timeout 2": ("keycloak", "gateway", "sink", "prometheus"),
    "verify --timeout 2": ("sink", "prometheus", "grafana"),
    "troubleshoot --timeout 10": ("keycloak", "gateway", "sink", "prometheus", "alertmanager", "grafana"),
    "metrics": ("prometheus",),
    "silence --reason test": ("alertmanager",),
}
"""What each command asks by HTTP."""

CODES: Final = {"traffic": {1, 3}, "verify": {1, 3}, "troubleshoot": {1, 3}}
"""Exit codes where 1 is not the only right one: what cannot be read is said, and the rest goes on."""

SHORT: Final = {"drips its head", "sends a bomb in a bomb", "answers a great many values"}
"""Those that troubleshoot meets: it asks the same questions as the others, and waits longer for what needs them."""

HOSTILE: Final[dict[str, tuple[Behaviour, tuple[str, ...]]]] = {
    "drips its head": (SLOW["drips its head"], ("did not answer within",)),
    "drips its body": (SLOW["drips its body"], ("did not answer within",)),
    "sends a bomb in a bomb": (GARBLED["sends a bomb in a bomb"], ("answers more than",)),
    "speaks SSH": (GARBLED["speaks SSH"], ("answers something that is no HTTP",)),
    "answers lists in lists": (
        answers(FOREIGN["lists in lists"]),
        ("nested too deeply", "200 [[[[", "unknown shape", "not with JSON", "text format", "line of 65,536 bytes"),
    ),
    "answers a great many values": (
        answers(b"[" + b"[]," * 5_000_000 + b"[]]"),
        ("more than 500,000 values", "200 [[]", "answers more than 1,000,000 bytes", "line of 65,536 bytes"),
    ),
}


@dataclass
class Scene:
    """A small installation that is well, but for the system that a case replaces."""

    installed: Installation
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    runs: int = 0

    def ended(self, arguments: str, system: str, url: str) -> tuple[subprocess.CompletedProcess[str], int]:
        """Give a command with one system elsewhere; return how it ended, and the most memory that it held."""
        self.runs += 1
        peak = self.folder / f"peak {self.runs}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOK_", "DOCKER_"))}
        work = self.folder / "work"
        done = subprocess.run(
            [sys.executable, str(DRIVER), str(peak), *arguments.split(), "--json"],
            cwd=work,
            env={**kept, **self.environment, ADDRESSES[system]: url, "PYTHONPATH": str(DRIVER.parents[2])},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return done, int(peak.read_text())

    def has_traffic(self) -> None:
        """Record a run that verify can follow."""
        at = datetime.now(UTC)
        lead = {"kind": "lead", "id": 1, "tenant_id": "acme", "topic": "apexflow.leads.created", "label": "x"}
        record = begin_run(self.folder / "work" / ".runbook", task="traffic", target="live")
        record.append("traffic", {"leads": 1, "jobs": 0, "rate": None})
        record.append("created", lead | {"sent_at": at, "answered_at": at, "status": 200})


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    work = tmp_path / "work"
    work.mkdir()
    engine = Engine(tmp_path / "engine.sock")
    for service, name in CONTAINERS.items():
        engine.has(name, service=service)
    with an_installation(tmp_path) as installed, Loopback() as others:
        others.routes |= {
            "POST /realms/aetherlink/protocol/openid-connect/token": Reply(200, {"access_token": JWT}),
            "GET /realms/aetherlink": Reply(200, {"realm": "aetherlink"}),
            "POST /leads": Reply(201, {"id": 1, "tenant_id": "acme"}),
            "GET /metrics": Reply(200, b"up 1\n", "text/plain"),
        }
        urls = dict.fromkeys(ADDRESSES.values(), others.url) | {
            "RUNBOOK_GRAFANA_URL": installed.grafana.url,
            "RUNBOOK_PROMETHEUS_URL": installed.prometheus.url,
            "RUNBOOK_SINK_METRICS_URL": f"{others.url}/metrics",
        }
        yield Scene(
            installed,
            tmp_path,
            environment=urls
            | {
                "RUNBOOK_FILES_MONITORING_DIR": str(installed.folder),
                "RUNBOOK_KAFKA_BOOTSTRAP": "127.0.0.1:1",
                "RUNBOOK_RUNTIME_DOCKER_HOST": engine.url,
                "COLUMNS": "400",
            },
        )
    engine.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("arguments", "system"),
    [(arguments, system) for arguments, systems in COMMANDS.items() for system in systems],
    ids=lambda one: str(one).split()[0],
)
def test_hostile_system_ends_in_three_parts_and_touches_no_file(scene: Scene, arguments: str, system: str) -> None:
    files = (scene.installed.dashboard, scene.installed.rules)
    before = looks_of(*files)
    scene.has_traffic()
    command = arguments.partition(" ")[0]
    _, base = scene.ended(arguments, system, "http://127.0.0.1:1")

    for name, (behaviour, words) in HOSTILE.items():
        if command == "troubleshoot" and name not in SHORT:
            continue
        server = RawServer(behaviour)
        url = server.url
        try:
            done, peak = scene.ended(arguments, system, url)
        finally:
            server.stop()

        document = json.loads(done.stdout)
        validate(document)
        assert done.returncode == document["exit_code"], name
        assert done.returncode in CODES.get(command, {1}), (name, done.stdout)
        assert any(word in told for told in parts(document, url) for word in words), (name, done.stdout)
        assert "Traceback" not in done.stdout + done.stderr
        assert "defect of this tool" not in done.stdout + done.stderr
        assert "itself failed" not in done.stdout
        assert peak < base + MOST_BYTES, (name, base, peak)

    assert looks_of(*files) == before


def parts(document: dict[str, Any], url: str) -> list[str]:
    """Return what is said of the server: by the error, by the evidence of the steps, and by the checks."""
    evidence = [one for step in (*document["steps"], *document.get("checks", ())) for one in step["evidence"]]
    told = [one["saw"] for one in evidence if url in one["source"]]
    error = document.get("error")
    if error and url in error["where"]:
        assert error["fix"]
        told.append(error["seen"])
    return told
