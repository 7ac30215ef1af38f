"""A small installation for setup: the reference files, and a Grafana and a Prometheus that serve what they have read.

Both read their file when they are restarted, as the containers do, and answer as MONITORING describes. What shall go
wrong is set on the object.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from runbook.errors import AnswerError, RunbookError
from runbook.settings import Target
from runbook.systems.runtime import LogLine, Mount, PublishedPort, Service, ServiceState
from tests.loopback import Loopback, Reply

REFERENCE = Path(__file__).parents[1] / "monitoring"
DASHBOARD = "grafana/dashboards/crm_events_pipeline.json"
RULES = "prometheus-crm-events-rules.yml"

NO_SERIES = Reply(200, {"status": "success", "data": {"resultType": "vector", "result": []}})


@dataclass
class Installation:
    """Files, two services and their runtime; `fails` names services whose restart the engine refuses.

    `inside` is the rules file as the container has it: that of the host, other bytes after it was replaced by
    renaming, None if it is not mounted, or the engine's refusal to show it. A restart mounts that of the host again.
    `forbids` names services of which it says before that it would refuse to restart them, `rules_file` is the path
    that Prometheus has loaded, where that is not one inside a container.
    `health` is that of every loaded rule, `answer` that of the query API to any expression.
    `mounted` are the bind mounts of both containers, `rule_files` what Prometheus's configuration lists.
    `containers` are the names that the engine gives the services, where they are not those of the settings.
    """

    folder: Path
    grafana: Loopback = field(default_factory=Loopback)
    prometheus: Loopback = field(default_factory=Loopback)
    restarted: list[str] = field(default_factory=list)
    restarted_containers: list[str] = field(default_factory=list)
    containers: dict[str, str] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    forbids: set[str] = field(default_factory=set)
    rules_file: str = ""
    missing: set[str] = field(default_factory=set)
    exited: set[str] = field(default_factory=set)
    grafana_is_blind: bool = False
    reloaded_times: int = 0
    reload_status: int = 200
    prometheus_refuses: str = ""
    prometheus_is_deaf: bool = False
    prometheus_dies_of_new_rules: bool = False
    inside: bytes | RunbookError | None = b"as on the host"
    mounted: tuple[Mount, ...] = ()
    rule_files: tuple[str, ...] = ("/etc/prometheus/crm-events-rules.yml",)
    health: str = "ok"
    answer: Reply = NO_SERIES
    panels: list[Any] = field(default_factory=list)
    groups: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.copytree(REFERENCE, self.folder)
        self.read_dashboard()
        self.read_rules()
        ok = Reply(200, {"database": "ok", "version": "11.2.0"})
        source = {"uid": "PBFA", "name": "Prometheus", "type": "prometheus", "url": "http://prom", "isDefault": True}
        self.grafana.routes |= {
            "GET /api/health": ok,
            "GET /api/datasources": Reply(200, [source]),
            "GET /api/dashboards/uid/crm-events-pipeline": lambda _: self.served(),
        }
        self.prometheus.routes |= {
            "GET /-/ready": Reply(200, b"Prometheus Server is Ready.\n", "text/plain"),
            "POST /-/reload": lambda _: self.reloaded(),
            "GET /api/v1/rules": lambda _: self.loaded(),
            "GET /api/v1/query": lambda _: self.answer,
            "GET /api/v1/status/config": lambda _: self.config(),
        }

    @property
    def dashboard(self) -> Path:
        return self.folder / DASHBOARD

    @property
    def rules(self) -> Path:
        return self.folder / RULES

    @property
    def target(self) -> Target:
        tables = {
            "files": {"monitoring_dir": str(self.folder)},
            "grafana": {"url": self.grafana.url},
            "prometheus": {"url": self.prometheus.url},
        }
        return Target.from_tables("small", tables, source="test")

    def read_dashboard(self) -> None:
        self.panels = json.loads(self.dashboard.read_text("utf-8-sig"))["panels"]

    def read_rules(self) -> None:
        self.groups = yaml.safe_load(self.rules.read_text("utf-8"))["groups"]

    def served(self) -> Reply:
        body = {"uid": "crm-events-pipeline", "title": "CRM", "version": 1, "panels": self.panels}
        return Reply(200, {"dashboard": body, "meta": {}})

    def loaded(self) -> Reply:
        if "prometheus" in self.exited:
            return Reply(503, b"gone", "text/plain")
        groups = [
            {
                "name": group["name"],
                "file": self.rules_file or f"/etc/prometheus/{self.rules.name}",
                "interval": 30,
                "rules": [as_loaded(rule) | {"health": self.health} for rule in group["rules"]],
            }
            for group in self.groups
        ]
        return Reply(200, {"status": "success", "data": {"groups": groups}})

    def config(self) -> Reply:
        text = yaml.safe_dump({"rule_files": [*self.rule_files]})
        return Reply(200, {"status": "success", "data": {"yaml": text}})

    def reloaded(self) -> Reply:
        if self.prometheus_refuses:
            return Reply(500, self.prometheus_refuses.encode(), "text/plain")
        if self.reload_status == 200:
            self.reloaded_times += 1
            if self.inside == b"as on the host" and not self.prometheus_is_deaf:
                self.read_rules()
        return Reply(self.reload_status)

    # What the runtime protocol asks for.

    def at_one_look(self) -> "Installation":
        return self

    def state(self, service: Service) -> ServiceState:
        if service.name in self.missing:
            return ServiceState(name=service.container, found=False, nearest=("aether-other",))
        is_down = service.name in self.exited
        return ServiceState(
            name=self.containers.get(service.name, service.container),
            found=True,
            status="exited" if is_down else "running",
            exit_code=2 if is_down else None,
        )

    def restart(self, service: Service, *, timeout_s: float) -> None:
        assert timeout_s > 0
        self.restarted.append(service.name)
        self.restarted_containers.append(service.container)
        if service.name in self.fails:
            raise RunbookError(f"The engine refused to restart {service.name}", where="engine", fix="ask it")
        self.exited.discard(service.name)
        if service.name == "grafana" and not self.grafana_is_blind:
            self.read_dashboard()
        if service.name == "prometheus":
            if isinstance(self.inside, bytes):
                self.inside = b"as on the host"
            if self.prometheus_dies_of_new_rules and "CrmEventsSinkDown" in self.rules.read_text("utf-8"):
                self.exited.add("prometheus")
            else:
                self.read_rules()

    def check_restart(self, service: Service) -> None:
        if service.name in self.forbids:
            raise AnswerError("The engine does not allow this: 403", where="engine", fix="let it through", status=403)

    def log(self, *_: object, **__: object) -> tuple[LogLine, ...]:
        return ()

    def log_of_start(self, *_: object, **__: object) -> tuple[LogLine, ...]:
        return ()

    def follow(self, *_: object, **__: object) -> Iterator[LogLine]:
        return iter(())

    def file_inside(self, *_: object) -> bytes | None:
        if isinstance(self.inside, RunbookError):
            raise self.inside
        return self.rules.read_bytes() if self.inside == b"as on the host" else self.inside

    def mounts(self, *_: object) -> tuple[Mount, ...]:
        return self.mounted

    def networks(self, *_: object) -> frozenset[str]:
        return frozenset()

    def published(self, *_: object) -> tuple[PublishedPort, ...]:
        return ()

    def described(self) -> str:
        return "the tests' installation"

    def host(self) -> str:
        return "localhost"

    def start_command(self, service: Service) -> str:
        return f"docker start {service.container}"

    def recreate_command(self, service: Service) -> str:
        return f"docker compose up -d --force-recreate {service.name}"

    def log_command(self, service: Service) -> str:
        return f"docker logs {service.container}"


@contextmanager
def an_installation(folder: Path) -> Iterator[Installation]:
    """Have one as long as the block lasts."""
    made = Installation(folder / "monitoring")
    try:
        yield made
    finally:
        made.grafana.stop()
        made.prometheus.stop()


def as_loaded(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule of the file as Prometheus answers it."""
    return {
        "name": rule.get("alert") or rule["record"],
        "type": "alerting" if "alert" in rule else "recording",
        "query": rule["expr"],
        "duration": int(rule.get("for", "0s")[:-1]) * {"s": 1, "m": 60, "h": 3600}[rule.get("for", "0s")[-1]],
        "labels": rule.get("labels", {}),
        "annotations": rule.get("annotations", {}),
        "health": "ok",
        "state": "inactive",
        "alerts": [],
        "lastEvaluation": datetime.now(UTC).isoformat(),
    }


def looks_of(*paths: Path) -> list[tuple[int, int, bytes]]:
    """Return what must not change in a file that is left alone: inode, time of change and bytes."""
    return [(path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in paths]
