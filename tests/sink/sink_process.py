"""The sink as users run it: a process with an environment, two ports and a log."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

LEADS = "apexflow.leads.created"
JOBS = "apexflow.jobs.created"
SCRAPE = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}
CHECKOUT = Path(__file__).parents[2]

Labels = tuple[str, ...]


def event(tenant: str, kind: str = "lead.created") -> bytes:
    """Return a domain event as ApexFlow writes it, shortened."""
    return f'{{"id": 17, "tenant_id": "{tenant}", "name": "Ada", "event_type": "{kind}"}}'.encode()


class Samples:
    """A page of /metrics, parsed by Prometheus's own Python parser."""

    def __init__(self, text: str) -> None:
        self.by_name: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.by_name.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value

    def ingested(self) -> dict[Labels, float]:
        """Return the counters by tenant and topic."""
        return self.by_name.get("crm_events_ingested_total", {})

    def rejected(self) -> dict[Labels, float]:
        """Return the counters that moved, by topic and reason."""
        return {k: v for k, v in self.by_name.get("crm_events_rejected_total", {}).items() if v}

    def offsets(self) -> dict[Labels, float]:
        """Return the next offsets by topic and partition."""
        return self.by_name.get("crm_events_next_offset", {})

    def counted(self) -> float:
        """Return how many messages were counted, events or not."""
        return sum(self.ingested().values()) + sum(self.rejected().values())

    def passed(self) -> float:
        """Return how many offsets were passed; every partition starts at 0 in these tests."""
        return sum(self.offsets().values())


class SinkProcess:
    """`python -m sink` on free ports; stdout goes to a file, or to a pipe that nobody reads."""

    def __init__(self, bootstrap: str, stdout: Path, *, command: Sequence[str] = ("-m", "sink")) -> None:
        self.stdout = stdout
        self._stderr = stdout.with_name(f"{stdout.name}.stderr")
        self._command = command
        self.prom_port, self.http_port = 0, 0
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "SINK_"))},
            "KAFKA_BOOTSTRAP": bootstrap,
            "SINK_JOURNAL": "none",
            "KAFKA_SESSION_TIMEOUT_MS": "1500",  # the mock broker makes a group that was left wait this long
            "KAFKA_HEARTBEAT_INTERVAL_MS": "300",
            "KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS": "200",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.take_ports()

    def take_ports(self) -> None:
        """Take ports that are free now; those of a killed process may be in use by now."""
        self.prom_port, self.http_port = free_ports(2)
        self.env |= {"PROM_PORT": str(self.prom_port), "HTTP_PORT": str(self.http_port)}

    def start(self, *, blocked_stdout: bool = False) -> None:
        """Start it, and do not wait."""
        with self.stdout.open("ab") as file, self._stderr.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=CHECKOUT,
                env=self.env,
                stdout=subprocess.PIPE if blocked_stdout else file,
                stderr=errors,
            )

    def start_ready(self, **options: bool) -> None:
        """Start it and wait until it has partitions."""
        self.start(**options)
        wait_until(lambda: self.status("/readyz") == 200)

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self.process is not None
        return self.process.pid

    def status(self, path: str) -> int:
        """Return the status of a health page, 0 if nobody listens."""
        return self.page(path)[0]

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of a page on the HTTP port, 0 and nothing if nobody listens."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self.http_port}{path}", timeout=5)
        except requests.ConnectionError:
            return 0, ""
        return answer.status_code, answer.text

    def samples(self, headers: dict[str, str] | None = None) -> Samples:
        """Read /metrics; with the header SCRAPE as Prometheus does."""
        answer = requests.get(f"http://127.0.0.1:{self.prom_port}/metrics", headers=headers, timeout=5)
        return Samples(answer.text)

    def lines(self) -> list[str]:
        """Return the log."""
        return self.stdout.read_text().splitlines()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end and return the exit code."""
        assert self.process is not None
        return self.process.wait(20)

    def stderr(self) -> str:
        """Return what the last process wrote to stderr; to a file, for librdkafka's trace fills a pipe."""
        return self._stderr.read_text()

    def kill(self) -> None:
        """End it the hard way if it still runs, and close its pipe."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None


def wait_until(probe: Callable[[], object], deadline_s: float = 60.0, *, every_s: float = 0.02) -> None:
    """Wait until the probe says yes, or fail with its last answer."""
    until, pause = time.monotonic() + deadline_s, threading.Event()
    while not (seen := probe()):
        assert time.monotonic() < until, f"not within {deadline_s} s; last: {seen!r}"
        pause.wait(every_s)


def free_ports(count: int) -> list[int]:
    """Return TCP ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
