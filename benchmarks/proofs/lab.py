"""The stack that runs go on: its services, what is done to them, and how it gets back to rest."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import requests
from confluent_kafka import Consumer

from benchmarks.proofs.members import joined_consumer, joined_sink
from benchmarks.proofs.program import Ended, ended
from benchmarks.proofs.relay_mistakes import RelayMistakes
from benchmarks.proofs.scenario import Journal
from benchmarks.proofs.sources import Sources
from runbook.local_stack import stack
from runbook.local_stack.layout import Layout
from runbook.observer import NullObserver
from runbook.settings import LOCAL, Target, load_target
from runbook.systems.processes.launcher import Launcher
from runbook.waiting import Pending, wait_until

SINK: Final = "crm-events-sink"
_READY_S: Final = 30.0
_QUIET_S: Final = 45.0
_ANSWER_S: Final = 10.0
_BROKEN_PROGRAM: Final = Path(__file__).with_name("broken_sink.py")


@dataclass(slots=True, kw_only=True)
class Lab:
    """One stack with a journal. `deaths` are the times (Unix) at which its sink ended since `forget`."""

    directory: Path
    journal: Journal
    deaths: list[float] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    restarts: set[str] = field(default_factory=set)
    emptied_at: list[float] = field(default_factory=list)
    second_sink: subprocess.Popen[bytes] | None = None
    strangers: list[Consumer] = field(default_factory=list)
    late: list[threading.Thread] = field(default_factory=list)

    # Up and down

    def up(self) -> None:
        """Start the stack with the panels and the alert in place. Raises RunbookError."""
        stack.up(self.directory, NullObserver(), real=frozenset({"postgres"} if self.journal == "postgres" else ()))
        if self.journal == "none":
            self.start(SINK)
            self.wait_ready(SINK)
        done = self.command("setup", "--yes")
        if done.code != 0:
            raise RuntimeError(f"setup ended with {done.code}: {done.stderr[-500:]}")
        self.wait_quiet()

    def down(self) -> None:
        """End all of it."""
        self._end_strangers()
        stack.down(self.directory, NullObserver())

    def rest(self) -> None:
        """Bring back what is away or broken, and wait until everything is counted and scraped."""
        self.await_late()
        self.late.clear()
        self._end_strangers()
        self.relay.mend()
        self.kafka("up")
        launcher = Launcher(self.layout.root)
        record = launcher.record(SINK)
        if record is None or str(_BROKEN_PROGRAM) in record.launch.command:
            self.away.add(SINK)
        for name in (SINK, "prometheus", "grafana"):
            own = launcher.record(name)
            if name in self.away or own is None or launcher.process(own) is None:
                self.start(name)
            self.wait_ready(name)
        self.wait_quiet()
        self.forget()

    def forget(self) -> None:
        """Begin a new run."""
        self.deaths.clear()
        self.restarts.clear()
        self.emptied_at.clear()
        (self.directory / "broken").unlink(missing_ok=True)

    def _end_strangers(self) -> None:
        for stranger in self.strangers:
            stranger.close()
        self.strangers.clear()
        if self.second_sink is not None:
            self.second_sink.terminate()
            self.second_sink.wait(_READY_S)
            self.second_sink = None

    # Where things are

    @property
    def layout(self) -> Layout:
        """Return the paths of the stack."""
        return Layout.of(self.directory)

    @property
    def target(self) -> Target:
        """Return the settings of the stack."""
        return load_target(LOCAL, directory=self.directory)

    @property
    def sources(self) -> Sources:
        """Return what the oracle reads."""
        target = self.target
        return Sources(
            bootstrap=target.kafka.bootstrap,
            metrics_url=target.sink.metrics_url,
            prometheus_url=target.prometheus.url,
            sink_log=self.layout.root / "logs" / f"{SINK}.log",
            dashboard=self.layout.dashboard,
        )

    @property
    def relay(self) -> RelayMistakes:
        """Return ApexFlow's outbox."""
        return RelayMistakes(self.layout, self.plan()["ports"]["database"] if self.journal == "postgres" else None)

    def plan(self) -> dict[str, Any]:
        """Return the plan of the stack."""
        plan: dict[str, Any] = json.loads(self.layout.plan.read_bytes())
        return plan

    @property
    def mark(self) -> str:
        """Return the mistake that a broken sink has made; empty: none yet."""
        path = self.directory / "broken"
        return path.read_text("ascii") if path.exists() else ""

    # Services

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End a service and leave it down."""
        stack.stop_service(self.directory, name, kill=kill)
        self.away.add(name)
        self.restarts.add(name)
        if name == SINK:
            self.deaths.append(time.time())

    def start(self, name: str) -> None:
        """Start a service, and do not wait."""
        extra = {"SINK_JOURNAL": "none"} if name == SINK and self.journal == "none" else {}
        stack.start_service(self.directory, name, extra_env=extra)
        self.away.discard(name)

    def start_later(self, name: str, after_s: float) -> None:
        """Start it in so many seconds, while something else goes on."""

        def run() -> None:
            time.sleep(after_s)
            self.start(name)

        self.late.append(threading.Thread(target=run, name=name))

    def await_late(self) -> None:
        """Wait until what comes back later is back."""
        for thread in self.late:
            if thread.ident is not None:
                thread.join(_READY_S)
                self.wait_ready(thread.name)

    def runs(self, name: str) -> bool:
        """Whether a service runs."""
        return any(one.running for one in stack.status(self.directory) if one.name == name)

    def wait_ready(self, name: str) -> None:
        """Wait until a service answers. Raises WaitError."""

        def ready() -> bool | Pending:
            status = next(one for one in stack.status(self.directory) if one.name == name)
            return (status.running and "not ready" not in status.detail) or Pending(status.detail)

        wait_until(ready, what=name, deadline_s=_READY_S, where=str(self.layout.root / "logs"), fix="read its log")

    def empty_prometheus(self) -> None:
        """Take all samples from Prometheus."""
        self.stop("prometheus")
        for path in sorted((self.layout.data / "prometheus").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.start("prometheus")
        self.wait_ready("prometheus")
        self.emptied_at.append(time.time())

    def kafka(self, state: str) -> None:
        """Let the broker refuse every connection (`down`), or serve again (`up`)."""
        port = self.plan()["ports"]["kafka_control"]
        requests.post(f"http://127.0.0.1:{port}/{state}", timeout=_ANSWER_S).raise_for_status()

    def break_sink(self, mistake: str, *, topic: str, tenant: str, at: int) -> None:
        """Put a sink with one mistake in the place of the sink, and wait until it has its partitions."""
        launcher = Launcher(self.layout.root)
        record = launcher.record(SINK)
        assert record is not None  # noqa: S101 - `up` has started it
        self.stop(SINK)
        variables = {"BROKEN_SINK": mistake, "BROKEN_TOPIC": topic, "BROKEN_TENANT": tenant, "BROKEN_AT": str(at)}
        environment = {**record.launch.environment, **variables, "BROKEN_MARK": str(self.directory / "broken")}
        command = (sys.executable, str(_BROKEN_PROGRAM))
        launcher.start(SINK, replace(record.launch, command=command, environment=environment))
        self.away.discard(SINK)
        self.wait_ready(SINK)
        self.wait_quiet()
        self.deaths.clear()

    def wait_broken(self) -> None:
        """Wait until the broken sink has made its mistake: one that is ended before has counted right."""
        wait_until(
            lambda: bool(self.mark) or Pending("no mistake yet"),
            what="The mistake of the broken sink",
            deadline_s=_READY_S,
            where=str(self.directory),
            fix="read its log",
            every_s=0.05,
        )

    # The group

    def join(self, *, stays: bool) -> None:
        """Let a member that counts nothing take its share of the partitions, and leave again unless it stays."""
        stranger = joined_consumer(self.target.kafka.bootstrap, SINK, self.sources.topics, deadline_s=_READY_S)
        if stays:
            self.strangers.append(stranger)
        else:
            stranger.close()

    def add_second_sink(self, *, stays: bool) -> None:
        """Let another sink with the same journal in PostgreSQL take its share; Prometheus does not scrape it."""
        process = joined_sink(self.layout, self.target.kafka.bootstrap, deadline_s=_READY_S)
        if stays:
            self.second_sink = process
        else:
            process.terminate()
            process.wait(_READY_S)

    # The program

    def command(self, task: str, *options: str) -> Ended:
        """Run a task of the program as an operator does, with --json."""
        return ended(self.directory, task, *options)

    def wait_quiet(self) -> None:
        """Wait until the sink has counted all that Kafka holds, and Prometheus has scraped that. Raises WaitError."""
        sources = self.sources

        def quiet() -> bool | Pending:
            try:
                ends, page, scraped = sources.ends(), sources.page(), sources.newest_positions()
            except (requests.RequestException, KeyError, ValueError) as error:
                return Pending(str(error))
            if page.positions != ends:
                return Pending(f"the sink is at {dict(page.positions)}, Kafka ends at {dict(ends)}")
            return scraped == ends or Pending(f"Prometheus has {dict(scraped)} of {dict(ends)}")

        wait_until(
            quiet, what="Rest", deadline_s=_QUIET_S, where=str(self.directory), fix="look at its logs", every_s=0.3
        )
