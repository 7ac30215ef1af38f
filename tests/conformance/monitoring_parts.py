"""The way of panel 21's data up to the browser: counters, the real Prometheus, and the stand-in for Grafana's API.

As a program it records what Grafana answers: `python tests/conformance/monitoring_parts.py` writes frames/, with the
Prometheus that PROMETHEUS names or PATH has.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels
from runbook.files.panels import plan_panels
from runbook.waiting import Impossible, Pending, wait_until

ROOT = Path(__file__).parents[2]
FRAMES = Path(__file__).parent / "frames"
TOPICS = ("apexflow.jobs.created", "apexflow.leads.created")
# Events per second by tenant; neither the order of the names nor the order here is that of the rates.
RATES = {
    "acme": 1.5, "globex": 20.0, "initech": 0.5, "umbrella": 8.0, "hooli": 12.0, "stark": 3.0,
    "wayne": 0.25, "wonka": 5.0, "tyrell": 0.125, "cyberdyne": 30.0, "soylent": 2.0, "aperture": 0.75,
}  # fmt: skip
RECORDED = (0, 1, 10, 12)
_UID = "of-this-installation"
_TIMEOUT_S = 10.0
_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """A Prometheus that scrapes our counters, and a Grafana that asks it."""

    prometheus: str
    grafana: str

    def answer(self, panel: Mapping[str, Any], *, seconds: int = 8) -> dict[str, Any]:
        """Return what POST /api/ds/query answers to the panel's targets over the last seconds."""
        more = {"datasource": {"type": "prometheus", "uid": _UID}, "intervalMs": 1000, "maxDataPoints": 100}
        document = {
            "queries": [{**target, **more} for target in panel["targets"]],
            "from": f"now-{seconds}s",
            "to": "now",
        }
        address = f"{self.grafana}/api/ds/query"
        answered = requests.post(address, json=document, auth=("admin", "admin"), timeout=_TIMEOUT_S)
        answered.raise_for_status()
        body: dict[str, Any] = answered.json()
        return body

    def holds(self, expr: str) -> bool:
        """Whether Prometheus has a sample for the expression now."""
        asked = requests.get(f"{self.prometheus}/api/v1/query", params={"query": expr}, timeout=_TIMEOUT_S)
        return bool(asked.ok and asked.json()["data"]["result"])


def written_panels(*, verbatim: bool = False) -> dict[int, dict[str, Any]]:
    """Return the reference dashboard's panels by id, as they are after setup has written it."""
    path = ROOT / "monitoring/grafana/dashboards/crm_events_pipeline.json"
    wanted = wanted_panels(Datasource(uid=_UID), verbatim=verbatim)
    written = plan_panels(path.read_bytes(), wanted, path=Path(path.name)).after
    return {panel["id"]: panel for panel in json.loads(written.decode("utf-8-sig"))["panels"]}


def panel_answers(parts: Monitoring) -> dict[str, dict[str, Any]]:
    """Return the answers to the queries of our panels, and to those of the runbook's own table."""
    ours, runbooks = written_panels(), written_panels(verbatim=True)
    return {
        "panel_20": parts.answer(ours[20]),
        "panel_21": parts.answer(ours[21]),
        "panel_21_verbatim": parts.answer(runbooks[21]),
    }


def recording(tenants: int) -> dict[str, Any]:
    """Return the recorded answers of an installation with so many tenants."""
    recorded: dict[str, Any] = json.loads((FRAMES / f"{tenants}_tenants.json").read_text(encoding="utf-8"))
    return recorded


@contextmanager
def running_monitoring(prometheus: str, rates: Mapping[str, float], folder: Path) -> Iterator[Monitoring]:
    """Start the parts, wait until Prometheus knows the rate of every series, and end them."""
    with ExitStack() as stack:
        target = stack.enter_context(_counters(rates))
        ports = _free_ports(2)
        parts = Monitoring(prometheus=f"http://127.0.0.1:{ports[0]}", grafana=f"http://127.0.0.1:{ports[1]}")
        _configure(folder, target, parts.prometheus)
        scraper = (prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data")
        stand_in = (sys.executable, "-m", "runbook.local_stack.fakes.grafana", "--provisioning", "provisioning")
        programs = [
            stack.enter_context(_running((*scraper, f"--web.listen-address=127.0.0.1:{ports[0]}"), folder)),
            stack.enter_context(_running((*stand_in, "--port", str(ports[1])), folder)),
        ]
        series = len(rates) * len(TOPICS)
        # Two seconds ago, so that a range up to now has points: its end is rounded down to a multiple of the step.
        ready = f"count(rate(crm_events_ingested_total[5m] offset 2s) > 0) == {series}" if series else "up == 1"
        _wait_for(parts, ready, programs, folder)
        yield parts


def _wait_for(parts: Monitoring, ready: str, programs: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    def probe() -> bool | Pending | Impossible:
        if any(program.poll() is not None for program in programs):
            return Impossible((folder / "log").read_text(encoding="utf-8"))
        try:
            requests.get(f"{parts.grafana}/api/health", timeout=_TIMEOUT_S)
            return parts.holds(ready) or Pending("no such series yet")
        except requests.ConnectionError as error:
            return Pending(str(error))

    wait_until(probe, what=ready, deadline_s=_DEADLINE_S, where=parts.prometheus, fix=f"see {folder}/log")


def _configure(folder: Path, target: str, prometheus: str) -> None:
    """Write both programs' files; JSON is YAML too."""
    scrape = {"job_name": "crm-events-sink", "static_configs": [{"targets": [target]}]}
    source = {"name": "Prometheus", "uid": _UID, "type": "prometheus", "url": prometheus, "isDefault": True}
    files: dict[str, Any] = {
        "prometheus.yml": {"global": {"scrape_interval": "500ms"}, "scrape_configs": [scrape]},
        "provisioning/datasources/prometheus.yml": {"apiVersion": 1, "datasources": [source]},
        "provisioning/dashboards/none.yml": {"apiVersion": 1, "providers": []},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


@contextmanager
def _counters(rates: Mapping[str, float]) -> Iterator[str]:
    """Serve the sink's counters, each growing at its tenant's rate, half of it per topic; return the address."""
    start_s = time.monotonic()

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _exposition(rates, time.monotonic() - start_s).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _exposition(rates: Mapping[str, float], elapsed_s: float) -> str:
    lines = [
        f'crm_events_ingested_total{{tenant_id="{tenant}",topic="{topic}"}} {rate * elapsed_s / len(TOPICS)}\n'
        for tenant, rate in rates.items()
        for topic in TOPICS
    ]
    return "# TYPE crm_events_ingested_total counter\n" + "".join(lines)


@contextmanager
def _running(command: tuple[str, ...], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_TIMEOUT_S)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _record() -> None:
    prometheus = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    if not prometheus:
        sys.exit("no Prometheus: set PROMETHEUS to it, or put it on PATH")
    for tenants in RECORDED:
        rates = dict(list(RATES.items())[:tenants])
        with tempfile.TemporaryDirectory() as folder, running_monitoring(prometheus, rates, Path(folder)) as parts:
            build = requests.get(f"{parts.prometheus}/api/v1/status/buildinfo", timeout=_TIMEOUT_S).json()
            answers = {"prometheus": build["data"]["version"], **panel_answers(parts)}
        (FRAMES / f"{tenants}_tenants.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _record()
