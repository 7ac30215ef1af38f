"""A local stack behind proxies, an engine's socket among them: which command asks which system for what."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runbook.local_stack import stack
from runbook.observer import NullObserver
from runbook.settings import STACK_DIR
from tests.command_line import CHECKOUT
from tests.permissions.proxies import Allows, Proxy, engine_proxy, http_proxy
from tests.permissions.stack_engine import StackEngine

TARGET: Final = "recorded"
ADDRESSES: Final = {
    ("keycloak", "url"): "Keycloak",
    ("gateway", "url"): "gateway",
    ("sink", "http_url"): "sink",
    ("sink", "metrics_url"): "sink",
    ("prometheus", "url"): "Prometheus",
    ("alertmanager", "url"): "Alertmanager",
    ("grafana", "url"): "Grafana",
}
"""Group and setting of an address -> system."""
_KAFKA: Final = re.compile(r"Sent (\w+)Request \(v")  # of librdkafka's `debug: protocol`
_COMMAND_S: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A command that was given: exit code, JSON document, and what it asked: (system, request)."""

    code: int
    document: dict[str, Any]
    asked: frozenset[tuple[str, str]]


class RecordedStack:
    """The commands are given in `directory`; `engine` is what stands before its engine."""

    def __init__(
        self,
        directory: Path,
        tables: Mapping[str, Any],
        proxies: Sequence[tuple[str, Proxy]],
        engine: Proxy,
        inside: StackEngine,
    ) -> None:
        self.directory = directory
        self.engine = engine
        self.inside = inside
        self._tables = tables
        self._proxies = (*proxies, ("Docker", engine))

    @contextmanager
    def engine_allows(self, allows: Allows) -> Iterator[None]:
        """Have a proxy before the engine that refuses the rest, as long as the block lasts."""
        self.engine.allows, before = allows, self.engine.allows
        try:
            yield
        finally:
            self.engine.allows = before

    @property
    def files(self) -> tuple[Path, Path]:
        """The dashboard and the rules file."""
        monitoring = self.directory / STACK_DIR / "monitoring"
        dashboard = monitoring / "grafana/dashboards/crm_events_pipeline.json"
        return dashboard, monitoring / "prometheus-crm-events-rules.yml"

    def does(self, *arguments: str, **settings: Mapping[str, object]) -> Given:
        """Give a command; `settings` are tables that go before those of the stack."""
        tables = {
            group: {**self._tables.get(group, {}), **settings.get(group, {})} for group in {*self._tables, *settings}
        }
        (self.directory / "runbook.toml").write_text(_toml(tables), encoding="utf-8")
        for _, proxy in self._proxies:
            proxy.asked.clear()
            proxy.refused.clear()
        done = subprocess.run(
            (sys.executable, "-m", "runbook", *arguments, "--json"),
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "RUNBOOK_TARGET": TARGET, "BROWSER": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        assert done.stdout, done.stderr
        asked = {(system, request) for system, proxy in self._proxies for request in proxy.asked}
        asked |= {("Kafka", name) for name in _KAFKA.findall(done.stderr)}
        return Given(code=done.returncode, document=json.loads(done.stdout), asked=frozenset(asked))


@contextmanager
def recorded_stack(folder: Path) -> Iterator[RecordedStack]:
    """Have a local stack in a folder as long as the block lasts."""
    with ExitStack() as held:
        held.callback(stack.down, folder, NullObserver())
        stack.up(folder, NullObserver())
        tables = tomllib.loads((folder / STACK_DIR / "target.toml").read_text(encoding="utf-8"))
        proxies = []
        for (group, setting), system in ADDRESSES.items():
            url: str = tables[group][setting]
            host, slash, path = url.removeprefix("http://").partition("/")
            address, proxy = held.enter_context(http_proxy(f"http://{host}"))
            tables[group][setting] = f"{address}{slash}{path}"
            proxies.append((system, proxy))
        inside = StackEngine(folder / "engine.sock", folder)
        held.callback(inside.stop)
        engine = held.enter_context(engine_proxy(inside.url, folder / "proxy.sock"))
        tables["runtime"] = {"kind": "docker", "docker_host": f"unix://{folder / 'proxy.sock'}"}
        tables["kafka"]["options"] = {"debug": "protocol"}
        del tables["files"]  # asked of the mounts then, as in the field
        yield RecordedStack(folder, tables, proxies, engine, inside)


def _toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Write the target's tables, whose values are JSON but for one more level of table."""
    lines = []
    for group, table in tables.items():
        lines.append(f"[targets.{TARGET}.{group}]")
        lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join((*lines, ""))


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(key)} = {_value(one)}' for key, one in value.items())}}}"
    return json.dumps(value)
